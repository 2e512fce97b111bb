"""Mask R-CNN with MaxViT-B on COCO, 1x schedule, single scale.

MaxViT is timm's. Images are filled up with zeros to a multiple of 224 pixels, as its windows and
grids have 7 x 7 points at stride 32.

Command    tools/dist_train.sh configs/mask_rcnn/baselines/maxvit_b_1x_coco.py 8
"""

_base_ = ['../rsir_b_1x_coco.py', '../../_base_/models/maxvit_b_backbone.py']
model = dict(
    backbone=dict(
        _base_.backbone,
        _delete_=True,
        drop_path_rate=0.3,
        init_cfg=dict(type='Pretrained', checkpoint=None),
    ),
)
optim_wrapper = dict(
    paramwise_cfg=dict(custom_keys={'.relative_position_bias_table': dict(decay_mult=0.0)})
)
