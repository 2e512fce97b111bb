"""RegNetY-16G on ImageNet-1K, 300 epochs at 224 x 224.

Command    tools/dist_train.sh configs/cls/baselines/regnety_16g_in1k.py 8
"""

_base_ = './regnety_4g_in1k.py'
model = dict(backbone=dict(model_name='regnety_160'), head=dict(in_channels=3024))
