"""Tiny-ImageNet: a nano RSIR with criss-cross attention in the place of RSIR's.

Command    python tools/train.py configs/cls/ablation/criss_cross_n_tinyimagenet.py
"""

_base_ = '../../_base_/ablation/tinyimagenet.py'
model = dict(backbone=dict(mixers=('criss_cross',)))
