"""UperNet with RSIR-B of the published size (36 blocks in stage 3) on ADE20K, 160k iterations.

Command    tools/dist_train.sh configs/upernet/rsir_b36_160k_ade20k_512x512.py 8
           multi-scale test: tools/dist_test.sh CONFIG CHECKPOINT 8 --tta
Cost       8 GPUs x 2 images, 160k iterations; time and memory not measured
Published  mIoU 51.9 single-scale, 52.7 multi-scale (Table 6; of which size of RSIR-B is unclear)
Measured   not measured
"""

_base_ = './rsir_b_160k_ade20k_512x512.py'
model = dict(backbone=dict(arch='base36'))
