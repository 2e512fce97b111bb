"""UperNet with MaxViT-B on ADE20K, 160k iterations, 512 x 512 crops.

MaxViT is timm's. Images are filled up with zeros to a multiple of 224 pixels, as its windows and
grids have 7 x 7 points at stride 32.

Command    tools/dist_train.sh configs/upernet/baselines/maxvit_b_160k_ade20k_512x512.py 8
           multi-scale test: tools/dist_test.sh CONFIG CHECKPOINT 8 --tta
"""

_base_ = ['../rsir_b_160k_ade20k_512x512.py', '../../_base_/models/maxvit_b_backbone.py']
model = dict(
    backbone=dict(
        _base_.backbone,
        _delete_=True,
        drop_path_rate=0.3,
        init_cfg=dict(type='Pretrained', checkpoint=None),
    ),
)
optim_wrapper = dict(
    paramwise_cfg=dict(custom_keys={'.relative_position_bias_table': dict(decay_mult=0.0)})
)
