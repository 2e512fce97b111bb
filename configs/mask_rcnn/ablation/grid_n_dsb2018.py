"""DSB2018: Mask R-CNN with a nano RSIR with grid attention (MaxViT) in the place of RSIR's.

Command    python tools/train.py configs/mask_rcnn/ablation/grid_n_dsb2018.py
"""

_base_ = '../../_base_/ablation/dsb2018.py'
model = dict(backbone=dict(mixers=('grid',)))
