"""MaxViT-B on ImageNet-1K, 300 epochs at 224 x 224.

Command    tools/dist_train.sh configs/cls/baselines/maxvit_b_in1k.py 8
Cost       8 GPUs x 32 images, 300 epochs; time and memory not measured
Published  top-1 84.9 (Table 2)
Measured   not measured
"""

_base_ = './maxvit_t_in1k.py'
model = dict(
    backbone=dict(model_name='maxvit_base_tf_224', drop_path_rate=0.4),
    neck=dict(channels=768),
    head=dict(in_channels=768),
)
