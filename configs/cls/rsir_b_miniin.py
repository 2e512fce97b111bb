"""RSIR-B (24 blocks in stage 3, as in Table 1) on Mini-ImageNet, 100 epochs at 224 x 224.

Command    tools/dist_train.sh configs/cls/rsir_b_miniin.py 8
Cost       8 GPUs x 32 images, 100 epochs; time and memory not measured
Published  top-1 69.1 (Table 5; of which size of RSIR-B and on which split is unclear)
Measured   not measured
"""

_base_ = './rsir_t_miniin.py'
model = dict(backbone=dict(arch='base', drop_path_rate=0.5), head=dict(in_channels=768))
