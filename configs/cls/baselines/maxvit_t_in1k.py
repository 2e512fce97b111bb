"""MaxViT-T on ImageNet-1K, 300 epochs at 224 x 224.

MaxViT is timm's. Its classifier has LayerNorm, a hidden layer and the last layer; here, as in the
other configs, there is no hidden layer.
The recipe is that of RSIR-T with MaxViT's rate of stochastic depth; the published accuracy was
reached with its own (batch 4096, learning rate 3e-3, RandAugment of magnitude 15).

Command    tools/dist_train.sh configs/cls/baselines/maxvit_t_in1k.py 8
"""

_base_ = ['../rsir_t_in1k.py', '../../_base_/models/maxvit_t_backbone.py']
model = dict(
    backbone=dict(_base_.backbone, _delete_=True, drop_path_rate=0.2, out_indices=(3,)),
    neck=dict(_delete_=True, type='NormedAveragePooling', channels=512),
)
optim_wrapper = dict(
    paramwise_cfg=dict(custom_keys={'.relative_position_bias_table': dict(decay_mult=0.0)})
)
