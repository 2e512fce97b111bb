"""PVT-S on ImageNet-1K, 300 epochs at 224 x 224.

The library's PVT has no class token and no norm at its end: the last map is averaged and
normalized.
The recipe is that of RSIR-T; the published accuracy was reached with PVT's own.

Command    tools/dist_train.sh configs/cls/baselines/pvt_s_in1k.py 8
"""

_base_ = '../rsir_t_in1k.py'
model = dict(
    backbone=dict(
        _delete_=True,
        type='mmdet.PyramidVisionTransformer',
        num_layers=(3, 4, 6, 3),
        out_indices=(3,),
        drop_path_rate=0.1,
    ),
    neck=dict(_delete_=True, type='NormedAveragePooling', channels=512),
)
optim_wrapper = dict(paramwise_cfg=dict(custom_keys={'.pos_embed': dict(decay_mult=0.0)}))
