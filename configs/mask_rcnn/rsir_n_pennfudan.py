"""Mask R-CNN with a nano RSIR on the pedestrians of PennFudan, from scratch, on a CPU.

An example of few images with few large objects.

Command    python tools/dataset_converters/masks_to_coco.py data/pennfudan/PNGImages \\
               'data/pennfudan/PedMasks/{stem}_mask.png' --classes pedestrian \\
               --out-dir data/pennfudan/coco
           python tools/train.py configs/mask_rcnn/rsir_n_pennfudan.py
"""

_base_ = [
    '../_base_/models/mask_rcnn_rsir_n_fpn.py',
    '../_base_/datasets/pennfudan.py',
    '../_base_/schedules/mask_rcnn_nano.py',
    '../_base_/runtimes/mmdet.py',
]
model = dict(
    roi_head=dict(bbox_head=dict(num_classes=1), mask_head=dict(num_classes=1)),
    train_cfg=dict(
        rpn_proposal=dict(nms_pre=1000, max_per_img=300), rcnn=dict(sampler=dict(num=128))
    ),
    test_cfg=dict(rpn=dict(nms_pre=1000, max_per_img=300)),
)
max_epochs = 24
train_cfg = dict(max_epochs=max_epochs, val_interval=12)
optim_wrapper = dict(optimizer=dict(lr=0.001))
param_scheduler = _base_.param_scheduler
param_scheduler[1]['T_max'] = max_epochs
randomness = dict(seed=0)
auto_scale_lr = dict(enable=False, base_batch_size=4)
default_hooks = dict(
    logger=dict(interval=20),
    checkpoint=dict(max_keep_ckpts=1),
    visualization=dict(score_thr=0.5),
)
