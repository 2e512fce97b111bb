"""Axial attention in Swin-T on ImageNet-1K, 300 epochs at 224 x 224.

Command    tools/dist_train.sh configs/cls/ablation/axial_in1k.py 8
"""

_base_ = '../../_base_/ablation/in1k.py'
model = dict(backbone=dict(mixers=('axial',)))
