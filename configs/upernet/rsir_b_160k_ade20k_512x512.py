"""UperNet with RSIR-B (24 blocks in stage 3, as in Table 1) on ADE20K, 160k iterations.

Command    tools/dist_train.sh configs/upernet/rsir_b_160k_ade20k_512x512.py 8
           multi-scale test: tools/dist_test.sh CONFIG CHECKPOINT 8 --tta
"""

_base_ = './rsir_t_160k_ade20k_512x512.py'
model = dict(
    backbone=dict(arch='base'),
    decode_head=dict(in_channels=[96, 192, 384, 768]),
    auxiliary_head=dict(in_channels=384),
)
