# The skeleton of rsir_n_tinyimagenet.py; each row adds its mixers.
_base_ = ['../../cls/rsir_n_tinyimagenet.py', '../models/ablation_nano_backbone.py']
model = dict(backbone=dict(_base_.backbone, _delete_=True, drop_path_rate=0.0, out_indices=(3,)))
