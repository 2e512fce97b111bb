"""Tiny-ImageNet: a nano RSIR with grid attention (MaxViT) in the place of RSIR's.

Command    python tools/train.py configs/cls/ablation/grid_n_tinyimagenet.py
"""

_base_ = '../../_base_/ablation/tinyimagenet.py'
model = dict(backbone=dict(mixers=('grid',)))
