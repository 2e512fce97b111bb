"""Mask R-CNN with Swin-T on COCO, 1x schedule, single scale.

The published row was trained with several scales, as rsir_t_1x-ms_coco.py does; here it is one
scale, as for the other rows.

Command    tools/dist_train.sh configs/mask_rcnn/baselines/swin_t_1x_coco.py 8
           --cfg-options load_from=CLASSIFIER default_hooks.checkpoint_match.min_matched=0.4
           to start from a classifier's checkpoint
"""

_base_ = ['../rsir_t_1x_coco.py', '../../_base_/models/swin_t_backbone.py']
model = dict(
    backbone=dict(
        _base_.backbone,
        _delete_=True,
        out_indices=(0, 1, 2, 3),
        drop_path_rate=0.2,
        pad_small_map=True,
    ),
    neck=dict(in_channels=[96, 192, 384, 768]),
)
optim_wrapper = dict(
    paramwise_cfg=dict(custom_keys={'.relative_position_bias_table': dict(decay_mult=0.0)})
)
