"""CamVid: UperNet with a nano RSIR with shifted windows (Swin) in the place of RSIR's.

Command    python tools/train.py configs/upernet/ablation/shifted_window_n_camvid.py
"""

_base_ = '../../_base_/ablation/camvid.py'
model = dict(backbone=dict(mixers=('shifted_window',)))
