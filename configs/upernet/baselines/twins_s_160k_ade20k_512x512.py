"""UperNet with Twins-S on ADE20K, 160k iterations, 512 x 512 crops.

The published size and cost are those of Twins-SVT, not of Twins-PCPVT.

Command    tools/dist_train.sh configs/upernet/baselines/twins_s_160k_ade20k_512x512.py 8
           --cfg-options load_from=CLASSIFIER default_hooks.checkpoint_match.min_matched=0.4
           to start from a classifier's checkpoint
           multi-scale test: tools/dist_test.sh CONFIG CHECKPOINT 8 --tta
"""

_base_ = ['../rsir_t_160k_ade20k_512x512.py', '../../_base_/models/twins_s_backbone.py']
model = dict(backbone=dict(_base_.backbone, _delete_=True, drop_path_rate=0.2))
optim_wrapper = dict(paramwise_cfg=dict(custom_keys={'.position_encodings': dict(decay_mult=0.0)}))
