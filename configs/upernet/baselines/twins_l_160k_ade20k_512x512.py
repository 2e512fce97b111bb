"""UperNet with Twins-L on ADE20K, 160k iterations, 512 x 512 crops.

The published size and cost are those of Twins-SVT, not of Twins-PCPVT.

Command    tools/dist_train.sh configs/upernet/baselines/twins_l_160k_ade20k_512x512.py 8
           --cfg-options load_from=CLASSIFIER default_hooks.checkpoint_match.min_matched=0.4
           to start from a classifier's checkpoint
           multi-scale test: tools/dist_test.sh CONFIG CHECKPOINT 8 --tta
"""

_base_ = './twins_s_160k_ade20k_512x512.py'
model = dict(
    backbone=dict(arch='large', drop_path_rate=0.3),
    decode_head=dict(in_channels=[128, 256, 512, 1024]),
    auxiliary_head=dict(in_channels=512),
)
