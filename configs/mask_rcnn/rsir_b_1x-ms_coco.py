"""Mask R-CNN with RSIR-B (24 blocks in stage 3, as in Table 1) on COCO, 1x, multi-scale.

Command    tools/dist_train.sh configs/mask_rcnn/rsir_b_1x-ms_coco.py 8 --amp
"""

_base_ = './rsir_t_1x-ms_coco.py'
model = dict(
    backbone=dict(arch='base', drop_path_rate=0.3),
    neck=dict(in_channels=[96, 192, 384, 768]),
)
