"""UperNet with RSIR-B (24 blocks in stage 3, as in Table 1) on ADE20K, 160k iterations.

Command    tools/dist_train.sh configs/upernet/rsir_b_160k_ade20k_512x512.py 8
           multi-scale test: tools/dist_test.sh CONFIG CHECKPOINT 8 --tta
Cost       8 GPUs x 2 images, 160k iterations; time and memory not measured
Published  mIoU 51.9 single-scale, 52.7 multi-scale (Table 6; of which size of RSIR-B is unclear)
Measured   not measured
"""

_base_ = './rsir_t_160k_ade20k_512x512.py'
model = dict(
    backbone=dict(arch='base'),
    decode_head=dict(in_channels=[96, 192, 384, 768]),
    auxiliary_head=dict(in_channels=384),
)
