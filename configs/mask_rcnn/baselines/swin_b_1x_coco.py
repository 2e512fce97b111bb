"""Mask R-CNN with Swin-B on COCO, 1x schedule, single scale.

Command    tools/dist_train.sh configs/mask_rcnn/baselines/swin_b_1x_coco.py 8
           --cfg-options load_from=CLASSIFIER default_hooks.checkpoint_match.min_matched=0.4
           to start from a classifier's checkpoint
"""

_base_ = './swin_t_1x_coco.py'
model = dict(
    backbone=dict(arch='base', drop_path_rate=0.3),
    neck=dict(in_channels=[128, 256, 512, 1024]),
)
