# mmseg's own bases are kept here, as `mmseg::` does not resolve in its maintained fork.
default_scope = 'mmseg'
# mmrsir.replacements: checkpoints are read as data, broken images refused.
custom_imports = dict(imports=['mmrsir', 'mmrsir.replacements'], allow_failed_imports=False)
env_cfg = dict(
    cudnn_benchmark=True,
    mp_cfg=dict(mp_start_method='fork', opencv_num_threads=0),
    dist_cfg=dict(backend='nccl'),
)
default_hooks = dict(
    timer=dict(type='IterTimerHook'),
    logger=dict(type='LoggerHook', interval=50, log_metric_by_epoch=False),
    param_scheduler=dict(type='ParamSchedulerHook'),
    checkpoint=dict(type='ResumableCheckpointHook', by_epoch=False, interval=16000),
    sampler_seed=dict(type='DistSamplerSeedHook'),
    visualization=dict(type='SegVisualizationHook'),
    # A checkpoint that has less of the model's weights is refused.
    checkpoint_match=dict(type='CheckpointMatchHook', min_matched=0.9),
    loss_guard=dict(type='LossGuardHook'),
    # The same few images at each validation.
    prediction_pictures=dict(type='PredictionPicturesHook', number=4),
    run_report=dict(type='RunReportHook'),
)
visualizer = dict(
    type='SegLocalVisualizer',
    # Instead of TensorBoard: --cfg-options visualizer.vis_backends.1.type=WandbVisBackend
    vis_backends=[dict(type='LocalVisBackend'), dict(type='TensorboardVisBackend')],
    name='visualizer',
)
log_processor = dict(by_epoch=False)
log_level = 'INFO'
load_from = None
resume = False
tta_model = dict(type='SegTTAModel')
# Each process draws random windows of its own.
randomness = dict(seed=None, diff_rank_seed=True)
