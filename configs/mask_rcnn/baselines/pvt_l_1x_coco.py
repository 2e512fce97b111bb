"""Mask R-CNN with PVT-L on COCO, 1x schedule, single scale.

Without stochastic depth, as in the published code for detection.

Command    tools/dist_train.sh configs/mask_rcnn/baselines/pvt_l_1x_coco.py 8
           --cfg-options load_from=CLASSIFIER default_hooks.checkpoint_match.min_matched=0.4
           to start from a classifier's checkpoint
"""

_base_ = './pvt_s_1x_coco.py'
model = dict(backbone=dict(num_layers=(3, 8, 27, 3), drop_path_rate=0.0))
