"""Mask R-CNN with ResNet-18 on the nuclei of the 2018 Data Science Bowl, from scratch.

The schedule is that of rsir_n_dsb2018.py; ResNet's batch norms are trained.

Command    python tools/train.py configs/mask_rcnn/baselines/resnet_18_dsb2018.py
"""

_base_ = '../rsir_n_dsb2018.py'
model = dict(
    backbone=dict(
        _delete_=True,
        type='ResNet',
        depth=18,
        num_stages=4,
        out_indices=(0, 1, 2, 3),
        frozen_stages=-1,
        norm_cfg=dict(type='BN', requires_grad=True),
        norm_eval=False,
        style='pytorch',
        init_cfg=None,
    ),
    neck=dict(in_channels=[64, 128, 256, 512]),
)
