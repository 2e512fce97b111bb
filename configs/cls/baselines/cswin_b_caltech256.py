"""CSWin-B on Caltech-256 from scratch, 100 epochs at 224 x 224.

Command    tools/dist_train.sh configs/cls/baselines/cswin_b_caltech256.py 8
Cost       8 GPUs x 32 images, 100 epochs; time and memory not measured
Published  top-1 48.5 (Table 4; on a split that is not published)
Measured   not measured
"""

_base_ = './cswin_t_caltech256.py'
model = dict(
    backbone=dict(
        arch=dict(embed_dims=96, depths=(2, 4, 32, 2), num_heads=(4, 8, 16, 32)),
        drop_path_rate=0.5,
    ),
    head=dict(in_channels=768),
)
