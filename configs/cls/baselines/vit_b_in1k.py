"""ViT-B/16 on ImageNet-1K, 300 epochs at 384 x 384.

The network is ViT's, dropout included; the recipe is that of RSIR-T, with images of 384 x 384.

Command    tools/dist_train.sh configs/cls/baselines/vit_b_in1k.py 8
Cost       8 GPUs x 32 images, 300 epochs; time and memory not measured
Published  top-1 77.9 (Table 2)
Measured   not measured
"""

_base_ = './deit_b_in1k.py'
model = dict(backbone=dict(img_size=384, drop_rate=0.1, drop_path_rate=0.0))
train_pipeline = [
    dict(type='LoadImageFromFile'),
    dict(type='RandomResizedCrop', scale=384, backend='pillow', interpolation='bicubic'),
    dict(type='RandomFlip', prob=0.5, direction='horizontal'),
    dict(
        type='RandAugment',
        policies='timm_increasing',
        num_policies=2,
        total_level=10,
        magnitude_level=9,
        magnitude_std=0.5,
        hparams=dict(pad_val=[104, 116, 124], interpolation='bicubic'),
    ),
    dict(
        type='RandomErasing',
        erase_prob=0.25,
        mode='rand',
        min_area_ratio=0.02,
        max_area_ratio=1 / 3,
        fill_color=[103.53, 116.28, 123.675],
        fill_std=[57.375, 57.12, 58.395],
    ),
    dict(type='PackInputs'),
]
test_pipeline = [
    dict(type='LoadImageFromFile'),
    dict(type='ResizeEdge', scale=438, edge='short', backend='pillow', interpolation='bicubic'),
    dict(type='CenterCrop', crop_size=384),
    dict(type='PackInputs'),
]
train_dataloader = dict(dataset=dict(pipeline=train_pipeline))
val_dataloader = dict(dataset=dict(pipeline=test_pipeline))
test_dataloader = val_dataloader
