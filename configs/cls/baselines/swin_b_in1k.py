"""Swin-B on ImageNet-1K, 300 epochs at 224 x 224.

Command    tools/dist_train.sh configs/cls/baselines/swin_b_in1k.py 8
"""

_base_ = './swin_t_in1k.py'
model = dict(backbone=dict(arch='base', drop_path_rate=0.5), head=dict(in_channels=1024))
