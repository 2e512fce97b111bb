"""RSIR-B of the published size (36 blocks in stage 3) on ImageNet-1K, 300 epochs at 224 x 224.

Command    tools/dist_train.sh configs/cls/rsir_b36_in1k.py 8
"""

_base_ = './rsir_b_in1k.py'
model = dict(backbone=dict(arch='base36'))
