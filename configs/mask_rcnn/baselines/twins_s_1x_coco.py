"""Mask R-CNN with Twins-S on COCO, 1x schedule, single scale.

The published size and cost are those of Twins-SVT, not of Twins-PCPVT.

Command    tools/dist_train.sh configs/mask_rcnn/baselines/twins_s_1x_coco.py 8
           --cfg-options load_from=CLASSIFIER default_hooks.checkpoint_match.min_matched=0.4
           to start from a classifier's checkpoint
Cost       8 GPUs x 2 images, 12 epochs; time and memory not measured
Published  box AP 42.7, mask AP 39.6 (Table 3; backbone pretrained on ImageNet-1K)
Measured   not measured
"""

_base_ = '../rsir_t_1x_coco.py'
model = dict(
    backbone=dict(
        _delete_=True,
        type='mmpretrain.SVT',
        arch='small',
        out_indices=(0, 1, 2, 3),
        qkv_bias=True,
        drop_path_rate=0.2,
        norm_after_stage=True,
    ),
)
optim_wrapper = dict(paramwise_cfg=dict(custom_keys={'.position_encodings': dict(decay_mult=0.0)}))
