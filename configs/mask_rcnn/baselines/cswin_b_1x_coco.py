"""Mask R-CNN with CSWin-B on COCO, 1x schedule, single scale.

CSWin is this project's mixer `cross_shaped` in the blocks and widths of CSWin (arXiv 2107.00652).
The rate of stochastic depth is that of CSWin on COCO.

Command    tools/dist_train.sh configs/mask_rcnn/baselines/cswin_b_1x_coco.py 8
"""

_base_ = ['../rsir_b_1x_coco.py', '../../_base_/models/cswin_b_backbone.py']
model = dict(
    backbone=dict(
        _base_.backbone,
        _delete_=True,
        drop_path_rate=0.5,
        init_cfg=dict(type='Pretrained', checkpoint=None),
    ),
)
