"""Classification of generated shapes with a nano RSIR: the ImageNet job in small, on a CPU.

Command    python tools/dataset_converters/make_shapes.py
           python tools/train.py configs/cls/rsir_n_shapes.py
"""

_base_ = [
    '../_base_/models/rsir_classifier.py',
    '../_base_/datasets/shapes_imagenet.py',
    '../_base_/runtimes/mmpretrain.py',
]
model = dict(
    backbone=dict(arch='nano', drop_path_rate=0.0),
    head=dict(num_classes=4, in_channels=256),
    train_cfg=dict(_delete_=True),
)
max_epochs = 20
train_cfg = dict(type='ResumableEpochBasedTrainLoop', max_epochs=max_epochs, val_interval=5)
val_cfg = dict(type='CheckedValLoop')
test_cfg = dict(type='CheckedTestLoop')
optim_wrapper = dict(
    type='OptimWrapper',
    optimizer=dict(type='AdamW', lr=0.001, betas=(0.9, 0.999), weight_decay=0.05),
    constructor='LayerDecayOptimWrapperConstructor',
    paramwise_cfg=dict(norm_decay_mult=0.0, bias_decay_mult=0.0, flat_decay_mult=0.0),
)
param_scheduler = [
    dict(type='LinearLR', start_factor=0.01, by_epoch=True, end=2, convert_to_iter_based=True),
    dict(
        type='CosineAnnealingLR',
        by_epoch=True,
        begin=2,
        end=max_epochs,
        convert_to_iter_based=True,
    ),
]
randomness = dict(seed=0)
auto_scale_lr = dict(enable=False, base_batch_size=32)
default_hooks = dict(logger=dict(interval=5), checkpoint=dict(max_keep_ckpts=1))
