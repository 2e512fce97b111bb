"""Mask R-CNN with axial attention in Swin-T on COCO, 1x schedule.

The 43.7 of the table's first row is what Swin-T reaches with several scales; here each row has
one scale.

Command    tools/dist_train.sh configs/mask_rcnn/ablation/axial_1x_coco.py 8
"""

_base_ = '../../_base_/ablation/1x_coco.py'
model = dict(backbone=dict(mixers=('axial',)))
