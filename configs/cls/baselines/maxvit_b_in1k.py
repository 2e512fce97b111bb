"""MaxViT-B on ImageNet-1K, 300 epochs at 224 x 224.

Command    tools/dist_train.sh configs/cls/baselines/maxvit_b_in1k.py 8
"""

_base_ = ['../rsir_b_in1k.py', '../../_base_/models/maxvit_b_backbone.py']
model = dict(
    backbone=dict(_base_.backbone, _delete_=True, drop_path_rate=0.4, out_indices=(3,)),
    neck=dict(_delete_=True, type='NormedAveragePooling', channels=768),
)
optim_wrapper = dict(
    paramwise_cfg=dict(custom_keys={'.relative_position_bias_table': dict(decay_mult=0.0)})
)
