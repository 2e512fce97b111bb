# 300 epochs at batch 256 (8 GPUs x 32 images): 20 of warm-up, then a cosine to 1e-5.
_base_ = 'mmpretrain::_base_/schedules/imagenet_bs1024_adamw_swin.py'
train_cfg = dict(_delete_=True, type='ResumableEpochBasedTrainLoop', max_epochs=300, val_interval=1)
val_cfg = dict(type='CheckedValLoop')
test_cfg = dict(type='CheckedTestLoop')
optim_wrapper = dict(
    constructor='LayerDecayOptimWrapperConstructor',
    paramwise_cfg=dict(custom_keys=dict(_delete_=True)),  # Swin's, which RSIR does not have
    clip_grad=dict(max_norm=5.0),
)
auto_scale_lr = dict(base_batch_size=256)
