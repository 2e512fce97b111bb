"""Tiny-ImageNet: a nano RSIR with cross-shaped windows (CSWin) in the place of RSIR's.

Command    python tools/train.py configs/cls/ablation/cross_shaped_n_tinyimagenet.py
"""

_base_ = '../../_base_/ablation/tinyimagenet.py'
model = dict(backbone=dict(mixers=('cross_shaped',)))
