"""RSIR-B of the published size (36 blocks in stage 3) on Caltech-256, 100 epochs at 224 x 224.

Command    tools/dist_train.sh configs/cls/rsir_b36_caltech256.py 8
"""

_base_ = './rsir_b_caltech256.py'
model = dict(backbone=dict(arch='base36'))
