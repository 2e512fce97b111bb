"""Mask R-CNN with Twins-L on COCO, 1x schedule, single scale.

The published size and cost are those of Twins-SVT, not of Twins-PCPVT.
The rate of stochastic depth is that of Twins-S, as in the published code for detection.

Command    tools/dist_train.sh configs/mask_rcnn/baselines/twins_l_1x_coco.py 8
           --cfg-options load_from=CLASSIFIER default_hooks.checkpoint_match.min_matched=0.4
           to start from a classifier's checkpoint
"""

_base_ = './twins_s_1x_coco.py'
model = dict(
    backbone=dict(arch='large'),
    neck=dict(in_channels=[128, 256, 512, 1024]),
)
