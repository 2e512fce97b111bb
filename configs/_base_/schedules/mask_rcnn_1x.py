# 12 epochs at batch 16 (8 GPUs x 2 images), as for Swin.
_base_ = 'mmdet::_base_/schedules/schedule_1x.py'
train_cfg = dict(type='ResumableEpochBasedTrainLoop')
val_cfg = dict(type='CheckedValLoop')
test_cfg = dict(type='CheckedTestLoop')
param_scheduler = [
    dict(type='LinearLR', start_factor=0.001, by_epoch=False, begin=0, end=1000),
    dict(type='MultiStepLR', by_epoch=True, begin=0, end=12, milestones=[8, 11], gamma=0.1),
]
optim_wrapper = dict(
    optimizer=dict(_delete_=True, type='AdamW', lr=0.0001, betas=(0.9, 0.999), weight_decay=0.05),
    constructor='LayerDecayOptimWrapperConstructor',
    paramwise_cfg=dict(norm_decay_mult=0.0),
)
