"""DeiT-B on ImageNet-1K, 300 epochs at 224 x 224.

Command    tools/dist_train.sh configs/cls/baselines/deit_b_in1k.py 8
"""

_base_ = './deit_s_in1k.py'
model = dict(backbone=dict(arch='deit-base'), head=dict(in_channels=768))
