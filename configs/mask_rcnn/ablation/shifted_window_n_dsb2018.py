"""DSB2018: Mask R-CNN with a nano RSIR with shifted windows (Swin) in the place of RSIR's.

Command    python tools/train.py configs/mask_rcnn/ablation/shifted_window_n_dsb2018.py
"""

_base_ = '../../_base_/ablation/dsb2018.py'
model = dict(backbone=dict(mixers=('shifted_window',)))
