"""A nano RSIR on Tiny-ImageNet, 20 epochs on a CPU.

The images are 32 x 32 pixels in the first eight epochs, 48 x 48 in the next six, then 64 x 64.

Command    python tools/dataset_converters/tiny_imagenet.py tiny-imagenet-200.zip
           python tools/train.py configs/cls/rsir_n_tinyimagenet.py, or with all images in memory
           python benchmarks/ablate.py --config cls/rsir_n_tinyimagenet --variants rsir \\
               --seeds 1
"""

_base_ = ['../_base_/datasets/tiny_imagenet.py', '../_base_/runtimes/mmpretrain.py']
model = dict(
    type='ImageClassifier',
    backbone=dict(type='RSIRTransformer', arch='nano', drop_path_rate=0.0, out_indices=(3,)),
    neck=dict(type='GlobalAveragePooling'),
    head=dict(
        type='LinearClsHead',
        num_classes=200,
        in_channels=256,
        loss=dict(type='LabelSmoothLoss', label_smooth_val=0.1, mode='original'),
    ),
)
train_cfg = dict(type='ResumableEpochBasedTrainLoop', max_epochs=20, val_interval=5)
val_cfg = dict(type='CheckedValLoop')
test_cfg = dict(type='CheckedTestLoop')
optim_wrapper = dict(
    constructor='LayerDecayOptimWrapperConstructor',
    optimizer=dict(type='AdamW', lr=1e-3, weight_decay=0.05),
    paramwise_cfg=dict(norm_decay_mult=0.0, bias_decay_mult=0.0, flat_decay_mult=0.0),
    clip_grad=dict(max_norm=5.0),
)
param_scheduler = [
    dict(type='LinearLR', start_factor=1e-3, end=1, convert_to_iter_based=True),
    dict(type='CosineAnnealingLR', begin=1, T_max=19, eta_min=1e-6, convert_to_iter_based=True),
]
custom_hooks = [dict(type='ProgressiveResizeHook', sides=(32, 48, 64), milestones=(8, 14))]
randomness = dict(seed=0)
auto_scale_lr = dict(enable=False, base_batch_size=128)
