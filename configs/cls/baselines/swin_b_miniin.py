"""Swin-B on Mini-ImageNet from scratch, 100 epochs at 224 x 224.

Command    tools/dist_train.sh configs/cls/baselines/swin_b_miniin.py 8
"""

_base_ = './swin_t_miniin.py'
model = dict(backbone=dict(arch='base', drop_path_rate=0.5), head=dict(in_channels=1024))
