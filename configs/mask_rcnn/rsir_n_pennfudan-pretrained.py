"""Mask R-CNN with a nano RSIR on the pedestrians of PennFudan, from the weights of Tiny-ImageNet.

As rsir_n_pennfudan.py but for its start.

Command    python tools/train.py configs/mask_rcnn/rsir_n_pennfudan-pretrained.py
"""

_base_ = './rsir_n_pennfudan.py'
model = dict(backbone=dict(init_cfg=dict(checkpoint='mmrsir://rsir_n_tinyimagenet')))
