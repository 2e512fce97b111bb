_base_ = 'mmdet::_base_/default_runtime.py'
# mmrsir.replacements: checkpoints are read as data, broken images refused.
custom_imports = dict(
    imports=['mmrsir', 'mmrsir.evaluation', 'mmrsir.replacements'], allow_failed_imports=False
)
# Each process draws random windows of its own.
randomness = dict(seed=None, diff_rank_seed=True)
default_hooks = dict(
    checkpoint=dict(type='ResumableCheckpointHook'),
    # A checkpoint that has less of the model's weights is refused.
    checkpoint_match=dict(type='CheckpointMatchHook', min_matched=0.9),
    loss_guard=dict(type='LossGuardHook'),
    # The same few images at each validation.
    prediction_pictures=dict(type='PredictionPicturesHook', number=4),
    run_report=dict(type='RunReportHook'),
)
# Instead of TensorBoard: --cfg-options visualizer.vis_backends.1.type=WandbVisBackend
visualizer = dict(vis_backends=[dict(type='LocalVisBackend'), dict(type='TensorboardVisBackend')])
