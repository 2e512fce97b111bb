"""UperNet with spatially separable attention (Twins) in Swin-T on ADE20K, 160k iterations.

Command    tools/dist_train.sh configs/upernet/ablation/spatially_separable_160k_ade20k_512x512.py 8
"""

_base_ = '../../_base_/ablation/160k_ade20k_512x512.py'
model = dict(backbone=dict(mixers=('spatially_separable',)))
