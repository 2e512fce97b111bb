"""Mask R-CNN with Swin-B on COCO, 1x schedule, single scale.

Command    tools/dist_train.sh configs/mask_rcnn/baselines/swin_b_1x_coco.py 8
           --cfg-options load_from=CLASSIFIER default_hooks.checkpoint_match.min_matched=0.4
           to start from a classifier's checkpoint
Cost       8 GPUs x 2 images, 12 epochs; time and memory not measured
Published  box AP 46.9, mask AP 42.3 (Table 3; backbone pretrained on ImageNet-1K)
Measured   not measured
"""

_base_ = './swin_t_1x_coco.py'
model = dict(
    backbone=dict(arch='base', drop_path_rate=0.3),
    neck=dict(in_channels=[128, 256, 512, 1024]),
)
