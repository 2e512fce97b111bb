# Swin-T's shape in the place of RSIR-T; each row of Table 7 adds its mixers.
_base_ = '../../mask_rcnn/rsir_t_1x_coco.py'
model = dict(
    backbone=dict(
        _delete_=True,
        type='PyramidTransformer',
        arch=dict(embed_dims=96, depths=(2, 2, 6, 2), num_heads=(3, 6, 12, 24)),
        downsampling='linear',
        position=None,
        drop_path_rate=0.2,
        # The checkpoint of a classifier trained with configs/cls/ablation; None: from scratch.
        init_cfg=dict(type='Pretrained', checkpoint=None),
    ),
    neck=dict(in_channels=[96, 192, 384, 768]),
)
