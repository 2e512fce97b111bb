"""Mask R-CNN with PVT-L on COCO, 1x schedule, single scale.

Without stochastic depth, as in the published code for detection.

Command    tools/dist_train.sh configs/mask_rcnn/baselines/pvt_l_1x_coco.py 8
           --cfg-options load_from=CLASSIFIER default_hooks.checkpoint_match.min_matched=0.4
           to start from a classifier's checkpoint
Cost       8 GPUs x 2 images, 12 epochs; time and memory not measured
Published  box AP 42.9, mask AP 39.5 (Table 3; backbone pretrained on ImageNet-1K)
Measured   not measured
"""

_base_ = './pvt_s_1x_coco.py'
model = dict(backbone=dict(num_layers=(3, 8, 27, 3), drop_path_rate=0.0))
