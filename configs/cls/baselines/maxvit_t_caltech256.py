"""MaxViT-T on Caltech-256 from scratch, 100 epochs at 224 x 224.

MaxViT is timm's. Its classifier has LayerNorm, a hidden layer and the last layer; here, as in the
other configs, there is no hidden layer.

Command    tools/dist_train.sh configs/cls/baselines/maxvit_t_caltech256.py 8
"""

_base_ = ['../rsir_t_caltech256.py', '../../_base_/models/maxvit_t_backbone.py']
model = dict(
    backbone=dict(_base_.backbone, _delete_=True, drop_path_rate=0.2, out_indices=(3,)),
    neck=dict(_delete_=True, type='NormedAveragePooling', channels=512),
)
optim_wrapper = dict(
    paramwise_cfg=dict(custom_keys={'.relative_position_bias_table': dict(decay_mult=0.0)})
)
