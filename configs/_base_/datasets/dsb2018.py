# What tools/dataset_converters/dsb2018.py writes. Half of the nuclei are below 17 pixels across,
# so images are doubled, in training those parts that are cut out.
_base_ = './shapes_coco.py'
data_root = 'data/dsb2018/'
metainfo = dict(classes=('nucleus',), palette=[(220, 20, 60)])
max_per_img = 500  # an image has up to 375 nuclei
image_size = (256, 256)
train_pipeline = [
    dict(type='LoadImageFromFile'),
    dict(type='LoadAnnotations', with_bbox=True, with_mask=True),
    # Cut before they are enlarged: each nucleus has a mask of the size of the image.
    dict(
        type='RandomChoice',
        transforms=[
            [
                dict(type='RandomCrop', crop_size=(side, side), recompute_bbox=True),
                dict(type='Resize', scale=image_size, keep_ratio=False),
            ]
            for side in (96, 128, 176)
        ],
    ),
    # Of a nucleus that was cut there may be nothing left.
    dict(type='FilterAnnotations', min_gt_bbox_wh=(2, 2), min_gt_mask_area=8, by_mask=True),
    dict(
        type='RandomFlip', prob=[0.25, 0.25, 0.25], direction=['horizontal', 'vertical', 'diagonal']
    ),
    dict(type='PhotoMetricDistortion'),
    dict(type='PackDetInputs'),
]
test_pipeline = _base_.test_pipeline
test_pipeline[1] = dict(type='Resize', scale_factor=2.0)
tta_model = dict(tta_cfg=dict(max_per_img=max_per_img))
tta_pipeline = _base_.tta_pipeline
tta_pipeline[1]['transforms'][0] = [
    dict(type='Resize', scale_factor=factor) for factor in (1.5, 2.0, 2.5)
]
train_dataloader = dict(
    batch_size=4,
    num_workers=2,
    dataset=dict(data_root=data_root, metainfo=metainfo, pipeline=train_pipeline),
)
val_dataloader = dict(
    num_workers=2,
    dataset=dict(data_root=data_root, metainfo=metainfo, pipeline=test_pipeline),
)
# Choose on val, and test once.
test_dataloader = dict(
    num_workers=2,
    dataset=dict(
        data_root=data_root,
        metainfo=metainfo,
        ann_file='annotations/instances_test.json',
        data_prefix=dict(img='test/'),
        pipeline=test_pipeline,
    ),
)
ap = dict(type='CheckedCocoMetric', metric=['bbox', 'segm'], max_dets=max_per_img)
val_file = data_root + 'annotations/instances_val.json'
test_file = data_root + 'annotations/instances_test.json'
# AP, and what the competition was judged by.
val_evaluator = [dict(ap, ann_file=val_file), dict(type='DSB2018Metric', ann_file=val_file)]
test_evaluator = [dict(ap, ann_file=test_file), dict(type='DSB2018Metric', ann_file=test_file)]
