"""Mask R-CNN with a nano RSIR on generated shapes: the main job in small, on a CPU.

It starts from the weights of Tiny-ImageNet that come with the package.

Command    make demo, or
           python tools/dataset_converters/make_shapes.py
           python tools/train.py configs/mask_rcnn/rsir_n_shapes.py
"""

_base_ = [
    '../_base_/models/mask_rcnn_rsir_fpn.py',
    '../_base_/datasets/shapes_coco.py',
    '../_base_/runtimes/mmdet.py',
]
work_dir = 'work_dirs/mask_rcnn_rsir_n_shapes'  # three configs have this file's name
num_classes = 4
channels = 64
model = dict(
    backbone=dict(
        arch='nano',
        drop_path_rate=0.0,
        init_cfg=dict(checkpoint='mmrsir://rsir_n_tinyimagenet'),
    ),
    neck=dict(in_channels=[32, 64, 128, 256], out_channels=channels),
    rpn_head=dict(in_channels=channels, feat_channels=channels),
    # Images are small, so are the objects that the finest level is for.
    roi_head=dict(
        bbox_roi_extractor=dict(out_channels=channels, finest_scale=28),
        bbox_head=dict(in_channels=channels, fc_out_channels=256, num_classes=num_classes),
        mask_roi_extractor=dict(out_channels=channels, finest_scale=28),
        mask_head=dict(
            num_convs=2, in_channels=channels, conv_out_channels=channels, num_classes=num_classes
        ),
    ),
    train_cfg=dict(
        rpn_proposal=dict(nms_pre=500, max_per_img=200), rcnn=dict(sampler=dict(num=64))
    ),
    test_cfg=dict(
        rpn=dict(nms_pre=500, max_per_img=200),
        # Each object under one name: it costs about 2 points of AP and makes pictures plain.
        rcnn=dict(max_per_img=50, nms=dict(class_agnostic=True)),
    ),
)
max_epochs = 8
train_cfg = dict(type='ResumableEpochBasedTrainLoop', max_epochs=max_epochs, val_interval=2)
val_cfg = dict(type='CheckedValLoop')
test_cfg = dict(type='CheckedTestLoop')
optim_wrapper = dict(
    type='OptimWrapper',
    optimizer=dict(type='AdamW', lr=0.0015, betas=(0.9, 0.999), weight_decay=0.05),
    constructor='LayerDecayOptimWrapperConstructor',
    paramwise_cfg=dict(norm_decay_mult=0.0),
    clip_grad=dict(max_norm=5.0),
)
param_scheduler = [
    dict(type='LinearLR', start_factor=0.01, by_epoch=False, begin=0, end=40),
    dict(
        type='CosineAnnealingLR',
        by_epoch=True,
        begin=0,
        T_max=max_epochs,
        convert_to_iter_based=True,
    ),
]
randomness = dict(seed=0)
auto_scale_lr = dict(enable=False, base_batch_size=2)
default_hooks = dict(
    logger=dict(interval=10),
    checkpoint=dict(max_keep_ckpts=1),
    visualization=dict(score_thr=0.5),
)
