"""Mask R-CNN with CSWin-T on COCO, 1x schedule, single scale.

CSWin is this project's mixer `cross_shaped` in the blocks and widths of CSWin (arXiv 2107.00652).
The rate of stochastic depth is that of CSWin on COCO.

Command    tools/dist_train.sh configs/mask_rcnn/baselines/cswin_t_1x_coco.py 8
"""

_base_ = ['../rsir_t_1x_coco.py', '../../_base_/models/cswin_t_backbone.py']
model = dict(
    backbone=dict(
        _base_.backbone,
        _delete_=True,
        drop_path_rate=0.1,
        init_cfg=dict(type='Pretrained', checkpoint=None),
    ),
)
