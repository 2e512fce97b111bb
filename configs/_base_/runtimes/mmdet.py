_base_ = 'mmdet::_base_/default_runtime.py'
custom_imports = dict(imports=['mmrsir', 'mmrsir.evaluation'], allow_failed_imports=False)
# Each process draws random windows of its own.
randomness = dict(seed=None, diff_rank_seed=True)
