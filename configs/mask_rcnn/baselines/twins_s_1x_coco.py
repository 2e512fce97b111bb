"""Mask R-CNN with Twins-S on COCO, 1x schedule, single scale.

The published size and cost are those of Twins-SVT, not of Twins-PCPVT.

Command    tools/dist_train.sh configs/mask_rcnn/baselines/twins_s_1x_coco.py 8
           --cfg-options load_from=CLASSIFIER default_hooks.checkpoint_match.min_matched=0.4
           to start from a classifier's checkpoint
"""

_base_ = ['../rsir_t_1x_coco.py', '../../_base_/models/twins_s_backbone.py']
model = dict(backbone=dict(_base_.backbone, _delete_=True, drop_path_rate=0.2))
optim_wrapper = dict(paramwise_cfg=dict(custom_keys={'.position_encodings': dict(decay_mult=0.0)}))
