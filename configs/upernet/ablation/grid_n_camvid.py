"""CamVid: UperNet with a nano RSIR with grid attention (MaxViT) in the place of RSIR's.

Command    python tools/train.py configs/upernet/ablation/grid_n_camvid.py
"""

_base_ = '../../_base_/ablation/camvid.py'
model = dict(backbone=dict(mixers=('grid',)))
