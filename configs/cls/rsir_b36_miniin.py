"""RSIR-B of the published size (36 blocks in stage 3) on Mini-ImageNet, 100 epochs at 224 x 224.

Command    tools/dist_train.sh configs/cls/rsir_b36_miniin.py 8
"""

_base_ = './rsir_b_miniin.py'
model = dict(backbone=dict(arch='base36'))
