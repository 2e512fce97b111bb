# What tools/dataset_converters/masks_to_coco.py makes of PennFudan: four of five images train.
_base_ = './shapes_coco.py'
data_root = 'data/pennfudan/'
metainfo = dict(classes=('pedestrian',), palette=[(220, 20, 60)])
scale = (448, 352)
train_pipeline = [
    dict(type='LoadImageFromFile'),
    dict(type='LoadAnnotations', with_bbox=True, with_mask=True),
    dict(type='RandomChoiceResize', scales=[(384, 320), scale, (512, 416)], keep_ratio=True),
    dict(type='RandomFlip', prob=0.5),
    dict(type='PhotoMetricDistortion'),
    dict(type='PackDetInputs'),
]
test_pipeline = _base_.test_pipeline
test_pipeline[1] = dict(type='Resize', scale=scale, keep_ratio=True)
tta_pipeline = _base_.tta_pipeline
tta_pipeline[1]['transforms'][0] = [
    dict(type='Resize', scale=(448 * k // 4, 352 * k // 4), keep_ratio=True) for k in (3, 4, 5)
]
people = dict(data_root=data_root, metainfo=metainfo, data_prefix=dict(img='PNGImages/'))
train_dataloader = dict(
    batch_size=4,
    num_workers=2,
    dataset=dict(people, ann_file='coco/train.json', pipeline=train_pipeline),
)
val_dataloader = dict(
    num_workers=2, dataset=dict(people, ann_file='coco/val.json', pipeline=test_pipeline)
)
test_dataloader = val_dataloader
val_evaluator = dict(ann_file=data_root + 'coco/val.json')
test_evaluator = val_evaluator
