"""UperNet with RSIR-B of the published size (36 blocks in stage 3) on ADE20K, 160k iterations.

Command    tools/dist_train.sh configs/upernet/rsir_b36_160k_ade20k_512x512.py 8
           multi-scale test: tools/dist_test.sh CONFIG CHECKPOINT 8 --tta
"""

_base_ = './rsir_b_160k_ade20k_512x512.py'
model = dict(backbone=dict(arch='base36'))
