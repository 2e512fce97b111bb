"""RSIR-B (24 blocks in stage 3, as in Table 1) on Caltech-256, 100 epochs at 224 x 224.

Command    tools/dist_train.sh configs/cls/rsir_b_caltech256.py 8
Cost       8 GPUs x 32 images, 100 epochs; time and memory not measured
Published  top-1 49.2 (Table 4; of which size of RSIR-B and on which split is unclear)
Measured   not measured
"""

_base_ = './rsir_t_caltech256.py'
model = dict(backbone=dict(arch='base', drop_path_rate=0.5), head=dict(in_channels=768))
