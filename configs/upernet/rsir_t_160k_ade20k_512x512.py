"""UperNet with RSIR-T on ADE20K, 160k iterations, 512 x 512 crops.

Command    tools/dist_train.sh configs/upernet/rsir_t_160k_ade20k_512x512.py 8
           multi-scale test: tools/dist_test.sh CONFIG CHECKPOINT 8 --tta
"""

_base_ = [
    '../_base_/models/upernet_rsir.py',
    '../_base_/datasets/ade20k_512x512.py',
    '../_base_/schedules/upernet_160k.py',
    '../_base_/runtimes/mmseg.py',
]
