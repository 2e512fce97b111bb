"""Swin-B on Caltech-256 from scratch, 100 epochs at 224 x 224.

Command    tools/dist_train.sh configs/cls/baselines/swin_b_caltech256.py 8
Cost       8 GPUs x 32 images, 100 epochs; time and memory not measured
Published  top-1 46.7 (Table 4; on a split that is not published)
Measured   not measured
"""

_base_ = './swin_t_caltech256.py'
model = dict(backbone=dict(arch='base', drop_path_rate=0.5), head=dict(in_channels=1024))
