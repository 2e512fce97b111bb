"""UperNet with criss-cross attention in Swin-T on ADE20K, 160k iterations.

Command    tools/dist_train.sh configs/upernet/ablation/criss_cross_160k_ade20k_512x512.py 8
"""

_base_ = '../../_base_/ablation/160k_ade20k_512x512.py'
model = dict(backbone=dict(mixers=('criss_cross',)))
