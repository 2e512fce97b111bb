"""RegNetY-4G on ImageNet-1K, 300 epochs at 224 x 224.

RegNetY is timm's.
The recipe is that of RSIR-T; the published accuracy was reached with another one.

Command    tools/dist_train.sh configs/cls/baselines/regnety_4g_in1k.py 8
"""

_base_ = '../rsir_t_in1k.py'
model = dict(
    backbone=dict(
        _delete_=True,
        type='TimmPyramid',
        model_name='regnety_040',
        out_indices=(3,),
        drop_path_rate=0.1,
    ),
    head=dict(in_channels=1088),
)
