"""Mask R-CNN with a nano RSIR on the nuclei of the 2018 Data Science Bowl, from scratch, on a CPU.

Command    python tools/dataset_converters/dsb2018.py \\
               kaggle-dsbowl-2018-dataset-fixes/stage1_train DSB2018_stage1_test/stage1_test
           python tools/train.py configs/mask_rcnn/rsir_n_dsb2018.py
"""

_base_ = [
    '../_base_/models/mask_rcnn_rsir_n_fpn.py',
    '../_base_/datasets/dsb2018.py',
    '../_base_/schedules/mask_rcnn_nano.py',
    '../_base_/runtimes/mmdet.py',
]
model = dict(
    rpn_head=dict(anchor_generator=dict(scales=[4])),  # from 16 pixels of a doubled image on
    roi_head=dict(bbox_head=dict(num_classes=1), mask_head=dict(num_classes=1)),
    train_cfg=dict(
        rpn_proposal=dict(nms_pre=1000, max_per_img=300), rcnn=dict(sampler=dict(num=128))
    ),
    test_cfg=dict(
        rpn=dict(nms_pre=2000, max_per_img=1000),
        rcnn=dict(max_per_img=_base_.max_per_img),
    ),
)
randomness = dict(seed=0)
auto_scale_lr = dict(enable=False, base_batch_size=4)
default_hooks = dict(
    logger=dict(interval=20),
    checkpoint=dict(max_keep_ckpts=1),
    visualization=dict(score_thr=0.5),
)
