"""UperNet with cross-shaped windows (CSWin) in Swin-T on ADE20K, 160k iterations.

Command    tools/dist_train.sh configs/upernet/ablation/cross_shaped_160k_ade20k_512x512.py 8
"""

_base_ = '../../_base_/ablation/160k_ade20k_512x512.py'
model = dict(backbone=dict(mixers=('cross_shaped',)))
