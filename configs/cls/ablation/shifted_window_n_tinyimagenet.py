"""Tiny-ImageNet: a nano RSIR with shifted windows (Swin) in the place of RSIR's.

Command    python tools/train.py configs/cls/ablation/shifted_window_n_tinyimagenet.py
"""

_base_ = '../../_base_/ablation/tinyimagenet.py'
model = dict(backbone=dict(mixers=('shifted_window',)))
