"""Mask R-CNN with RSIR-B of the published size (36 blocks in stage 3) on COCO, 1x schedule.

Command    tools/dist_train.sh configs/mask_rcnn/rsir_b36_1x_coco.py 8
"""

_base_ = './rsir_b_1x_coco.py'
model = dict(backbone=dict(arch='base36'))
