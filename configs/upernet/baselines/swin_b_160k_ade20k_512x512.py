"""UperNet with Swin-B on ADE20K, 160k iterations, 512 x 512 crops.

Command    tools/dist_train.sh configs/upernet/baselines/swin_b_160k_ade20k_512x512.py 8
           --cfg-options load_from=CLASSIFIER default_hooks.checkpoint_match.min_matched=0.4
           to start from a classifier's checkpoint
           multi-scale test: tools/dist_test.sh CONFIG CHECKPOINT 8 --tta
"""

_base_ = './swin_t_160k_ade20k_512x512.py'
model = dict(
    backbone=dict(arch='base'),
    decode_head=dict(in_channels=[128, 256, 512, 1024]),
    auxiliary_head=dict(in_channels=512),
)
