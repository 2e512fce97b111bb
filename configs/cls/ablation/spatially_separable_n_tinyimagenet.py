"""Tiny-ImageNet: a nano RSIR with spatially separable attention (Twins) in the place of RSIR's.

Command    python tools/train.py configs/cls/ablation/spatially_separable_n_tinyimagenet.py
"""

_base_ = '../../_base_/ablation/tinyimagenet.py'
model = dict(backbone=dict(mixers=('spatially_separable',)))
