# The data set that tools/dataset_converters/make_shapes.py writes, in ADE20K's format:
# label 0 is ignored, the last class is the photograph behind the shapes.
_base_ = './ade20k_512x512.py'
shapes = dict(
    type='BaseSegDataset',
    data_root='data/shapes/ade/',
    metainfo=dict(
        classes=('cross', 'disc', 'ring', 'triangle', 'background'),
        palette=[[220, 20, 60], [255, 200, 0], [0, 130, 200], [60, 180, 75], [128, 128, 128]],
    ),
    reduce_zero_label=True,
)
crop_size = (128, 128)
train_pipeline = [
    dict(type='LoadImageFromFile'),
    dict(type='LoadAnnotations'),
    dict(type='RandomCrop', crop_size=crop_size, cat_max_ratio=0.75),
    dict(type='RandomFlip', prob=0.5),
    dict(type='RandomFlip', prob=0.5, direction='vertical'),
    dict(type='PackSegInputs'),
]
test_pipeline = [
    dict(type='LoadImageFromFile'),
    dict(type='Resize', scale=(256, 256), keep_ratio=True),
    dict(type='LoadAnnotations'),
    dict(type='PackSegInputs'),
]
tta_pipeline = _base_.tta_pipeline
tta_pipeline[1]['transforms'][0] = [
    dict(type='Resize', scale=(side, side), keep_ratio=True) for side in (192, 256, 320)
]
train_dataloader = dict(batch_size=8, num_workers=1, dataset=dict(shapes, pipeline=train_pipeline))
val_dataloader = dict(num_workers=1, dataset=dict(shapes, pipeline=test_pipeline))
test_dataloader = val_dataloader
