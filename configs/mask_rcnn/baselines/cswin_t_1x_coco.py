"""Mask R-CNN with CSWin-T on COCO, 1x schedule, single scale.

CSWin is this project's mixer `cross_shaped` in the blocks and widths of CSWin (arXiv 2107.00652).

Command    tools/dist_train.sh configs/mask_rcnn/baselines/cswin_t_1x_coco.py 8
Cost       8 GPUs x 2 images, 12 epochs; time and memory not measured
Published  box AP 46.7, mask AP 42.2 (Table 3; backbone pretrained on ImageNet-1K)
Measured   not measured
"""

_base_ = '../rsir_t_1x_coco.py'
model = dict(
    backbone=dict(
        type='PyramidTransformer',
        arch=dict(_delete_=True, embed_dims=64, depths=(1, 2, 21, 1), num_heads=(2, 4, 8, 16)),
        mixers=('cross_shaped',),
        position=None,
    ),
)
