"""ViT-B/16 on Caltech-256 from scratch, 100 epochs at 384 x 384.

Command    tools/dist_train.sh configs/cls/baselines/vit_b_caltech256.py 8
"""

_base_ = ['../rsir_t_caltech256.py', '../../_base_/models/vit_b_backbone.py']
model = dict(
    backbone=dict(_base_.backbone, _delete_=True),
    neck=None,
    head=dict(type='VisionTransformerClsHead', in_channels=768),
)
train_pipeline = _base_.train_pipeline
train_pipeline[1]['scale'] = 384
test_pipeline = _base_.test_pipeline
test_pipeline[1]['scale'] = 438
test_pipeline[2]['crop_size'] = 384
train_dataloader = dict(dataset=dict(pipeline=train_pipeline))
val_dataloader = dict(dataset=dict(pipeline=test_pipeline))
test_dataloader = val_dataloader
optim_wrapper = dict(
    paramwise_cfg=dict(
        custom_keys={
            '.cls_token': dict(decay_mult=0.0),
            '.pos_embed': dict(decay_mult=0.0),
        }
    )
)
