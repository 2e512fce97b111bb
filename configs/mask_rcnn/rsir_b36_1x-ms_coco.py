"""Mask R-CNN with RSIR-B of the published size (36 blocks in stage 3) on COCO, 1x, multi-scale.

Command    tools/dist_train.sh configs/mask_rcnn/rsir_b36_1x-ms_coco.py 8 --amp
"""

_base_ = './rsir_b_1x-ms_coco.py'
model = dict(backbone=dict(arch='base36'))
