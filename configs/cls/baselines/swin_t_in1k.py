"""Swin-T on ImageNet-1K, 300 epochs at 224 x 224.

Command    tools/dist_train.sh configs/cls/baselines/swin_t_in1k.py 8
Cost       8 GPUs x 32 images, 300 epochs; time and memory not measured
Published  top-1 81.3 (Table 2)
Measured   not measured
"""

_base_ = '../rsir_t_in1k.py'
model = dict(
    backbone=dict(
        _delete_=True,
        type='SwinTransformer',
        arch='tiny',
        drop_path_rate=0.2,
        init_cfg=dict(type='TruncNormal', layer='Linear', std=0.02, bias=0.0),
    ),
    head=dict(in_channels=768),
)
optim_wrapper = dict(
    paramwise_cfg=dict(custom_keys={'.relative_position_bias_table': dict(decay_mult=0.0)})
)
