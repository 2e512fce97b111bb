"""Tiny-ImageNet: a nano RSIR with sequential axial attention in the place of RSIR's.

Command    python tools/train.py configs/cls/ablation/axial_n_tinyimagenet.py
"""

_base_ = '../../_base_/ablation/tinyimagenet.py'
model = dict(backbone=dict(mixers=('axial',)))
