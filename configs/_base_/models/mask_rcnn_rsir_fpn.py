_base_ = 'mmdet::_base_/models/mask-rcnn_r50_fpn.py'
model = dict(
    backbone=dict(
        _delete_=True,
        type='RSIRTransformer',
        arch='tiny',
        drop_path_rate=0.2,
        # The checkpoint of a classifier trained with configs/cls; None: from scratch.
        init_cfg=dict(type='Pretrained', checkpoint=None),
    ),
    neck=dict(in_channels=[64, 128, 256, 512]),
)
