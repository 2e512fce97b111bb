"""CSWin-T on ImageNet-1K, 300 epochs at 224 x 224.

CSWin is this project's mixer `cross_shaped` in the blocks and widths of CSWin (arXiv 2107.00652).

Command    tools/dist_train.sh configs/cls/baselines/cswin_t_in1k.py 8
Cost       8 GPUs x 32 images, 300 epochs; time and memory not measured
Published  top-1 82.7 (Table 2)
Measured   not measured
"""

_base_ = '../rsir_t_in1k.py'
model = dict(
    backbone=dict(
        type='PyramidTransformer',
        arch=dict(_delete_=True, embed_dims=64, depths=(1, 2, 21, 1), num_heads=(2, 4, 8, 16)),
        mixers=('cross_shaped',),
        position=None,
    ),
)
