_base_ = 'mmdet::_base_/models/mask-rcnn_r50_fpn.py'
model = dict(
    backbone=dict(
        _delete_=True,
        type='RSIRTransformer',
        arch='tiny',
        drop_path_rate=0.2,
        # Weights of a classifier trained with configs/cls, once there are any:
        # dict(type='Pretrained', checkpoint='….pth', prefix='backbone.')
        init_cfg=None,
    ),
    neck=dict(in_channels=[64, 128, 256, 512]),
)
