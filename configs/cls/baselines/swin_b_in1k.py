"""Swin-B on ImageNet-1K, 300 epochs at 224 x 224.

Command    tools/dist_train.sh configs/cls/baselines/swin_b_in1k.py 8
Cost       8 GPUs x 32 images, 300 epochs; time and memory not measured
Published  top-1 83.3 (Table 2)
Measured   not measured
"""

_base_ = './swin_t_in1k.py'
model = dict(backbone=dict(arch='base', drop_path_rate=0.5), head=dict(in_channels=1024))
