"""Mask R-CNN with ResNeXt-101-64x4d on COCO, 1x schedule, single scale.

The recipe is that of resnet_50_1x_coco.py; it downloads OpenMMLab's weights.

Command    tools/dist_train.sh configs/mask_rcnn/baselines/resnext_101_1x_coco.py 8
"""

_base_ = './resnet_50_1x_coco.py'
model = dict(
    backbone=dict(
        type='ResNeXt',
        depth=101,
        groups=64,
        base_width=4,
        init_cfg=dict(checkpoint='open-mmlab://resnext101_64x4d'),
    ),
)
