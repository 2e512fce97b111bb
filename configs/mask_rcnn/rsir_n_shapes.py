"""Mask R-CNN with a nano RSIR on generated shapes: the main job in small, on a CPU.

It starts from the weights of Tiny-ImageNet that come with the package.

Command    make demo, or
           python tools/dataset_converters/make_shapes.py
           python tools/train.py configs/mask_rcnn/rsir_n_shapes.py
"""

_base_ = [
    '../_base_/models/mask_rcnn_rsir_n_fpn.py',
    '../_base_/datasets/shapes_coco.py',
    '../_base_/schedules/mask_rcnn_nano.py',
    '../_base_/runtimes/mmdet.py',
]
num_classes = 4
model = dict(
    backbone=dict(init_cfg=dict(checkpoint='mmrsir://rsir_n_tinyimagenet')),
    roi_head=dict(bbox_head=dict(num_classes=num_classes), mask_head=dict(num_classes=num_classes)),
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
train_cfg = dict(max_epochs=max_epochs, val_interval=2)
optim_wrapper = dict(optimizer=dict(lr=0.0015))
param_scheduler = _base_.param_scheduler
param_scheduler[0]['end'] = 40
param_scheduler[1]['T_max'] = max_epochs
randomness = dict(seed=0)
auto_scale_lr = dict(enable=False, base_batch_size=2)
default_hooks = dict(
    logger=dict(interval=10),
    checkpoint=dict(max_keep_ckpts=1),
    visualization=dict(score_thr=0.5),
)
