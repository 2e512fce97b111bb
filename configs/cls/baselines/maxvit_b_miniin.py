"""MaxViT-B on Mini-ImageNet from scratch, 100 epochs at 224 x 224.

Command    tools/dist_train.sh configs/cls/baselines/maxvit_b_miniin.py 8
Cost       8 GPUs x 32 images, 100 epochs; time and memory not measured
Published  top-1 68.6 (Table 5; on a split that is not published)
Measured   not measured
"""

_base_ = './maxvit_t_miniin.py'
model = dict(
    backbone=dict(model_name='maxvit_base_tf_224', drop_path_rate=0.4),
    neck=dict(channels=768),
    head=dict(in_channels=768),
)
