"""UperNet with a nano RSIR on generated shapes: the segmentation job in small, on a CPU.

Command    python tools/dataset_converters/make_shapes.py
           python tools/train.py configs/upernet/rsir_n_shapes.py
"""

_base_ = [
    '../_base_/models/upernet_rsir.py',
    '../_base_/datasets/shapes_ade20k.py',
    '../_base_/runtimes/mmseg.py',
]
work_dir = 'work_dirs/upernet_rsir_n_shapes'  # three configs have this file's name
num_classes = 5
channels = 64
loss_decode = dict(class_weight=[1.0, 1.0, 1.0, 1.0, 0.2])  # most pixels are background
model = dict(
    data_preprocessor=dict(size=_base_.crop_size),
    backbone=dict(arch='nano', drop_path_rate=0.0),
    decode_head=dict(
        in_channels=[32, 64, 128, 256],
        channels=channels,
        num_classes=num_classes,
        norm_cfg=dict(type='BN'),
        dropout_ratio=0.0,
        loss_decode=loss_decode,
    ),
    auxiliary_head=dict(
        in_channels=128,
        channels=channels,
        num_classes=num_classes,
        norm_cfg=dict(type='BN'),
        dropout_ratio=0.0,
        loss_decode=loss_decode,
    ),
)
max_iters = 1600
train_cfg = dict(type='ResumableIterBasedTrainLoop', max_iters=max_iters, val_interval=max_iters)
val_cfg = dict(type='CheckedValLoop')
test_cfg = dict(type='CheckedTestLoop')
optim_wrapper = dict(
    type='OptimWrapper',
    optimizer=dict(type='AdamW', lr=0.002, betas=(0.9, 0.999), weight_decay=0.01),
    constructor='LayerDecayOptimWrapperConstructor',
    paramwise_cfg=dict(norm_decay_mult=0.0),
    clip_grad=dict(max_norm=5.0),
)
param_scheduler = [
    dict(type='LinearLR', start_factor=0.01, by_epoch=False, begin=0, end=100),
    dict(type='PolyLR', eta_min=0.0, power=1.0, by_epoch=False, begin=100, end=max_iters),
]
randomness = dict(seed=0)
auto_scale_lr = dict(enable=False, base_batch_size=8)
default_hooks = dict(logger=dict(interval=20), checkpoint=dict(interval=800))
