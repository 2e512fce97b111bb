"""RSIR-B (24 blocks in stage 3, as in Table 1) on Mini-ImageNet, 100 epochs at 224 x 224.

Command    tools/dist_train.sh configs/cls/rsir_b_miniin.py 8
"""

_base_ = './rsir_t_miniin.py'
model = dict(backbone=dict(arch='base', drop_path_rate=0.5), head=dict(in_channels=768))
