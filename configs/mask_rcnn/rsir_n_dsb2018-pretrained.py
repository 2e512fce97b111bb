"""Mask R-CNN with a nano RSIR on the nuclei of DSB2018, from the weights of Tiny-ImageNet.

As rsir_n_dsb2018.py but for its start.

Command    python tools/train.py configs/mask_rcnn/rsir_n_dsb2018-pretrained.py
"""

_base_ = './rsir_n_dsb2018.py'
model = dict(backbone=dict(init_cfg=dict(checkpoint='mmrsir://rsir_n_tinyimagenet')))
