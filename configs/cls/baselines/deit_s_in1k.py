"""DeiT-S on ImageNet-1K, 300 epochs at 224 x 224.

The recipe is that of RSIR-T with DeiT's repeated augmentation; the published accuracy was reached
with all of DeiT's own.

Command    tools/dist_train.sh configs/cls/baselines/deit_s_in1k.py 8
"""

_base_ = '../rsir_t_in1k.py'
model = dict(
    backbone=dict(
        _delete_=True,
        type='VisionTransformer',
        arch='deit-small',
        drop_path_rate=0.1,
        init_cfg=dict(type='TruncNormal', layer='Linear', std=0.02, bias=0.0),
    ),
    neck=None,
    head=dict(type='VisionTransformerClsHead', in_channels=384),
)
train_dataloader = dict(sampler=dict(type='RepeatAugSampler'))
optim_wrapper = dict(
    paramwise_cfg=dict(
        custom_keys={
            '.cls_token': dict(decay_mult=0.0),
            '.pos_embed': dict(decay_mult=0.0),
        }
    )
)
