"""PVT-B on ImageNet-1K, 300 epochs at 224 x 224.

Its published size, 61 M parameters and 9.8 G, is that of PVT-Large; PVT has no "B".

Command    tools/dist_train.sh configs/cls/baselines/pvt_b_in1k.py 8
"""

_base_ = './pvt_s_in1k.py'
model = dict(backbone=dict(num_layers=(3, 8, 27, 3), drop_path_rate=0.3))
