"""ViT-B/16 on Mini-ImageNet from scratch, 100 epochs at 384 x 384.

Command    tools/dist_train.sh configs/cls/baselines/vit_b_miniin.py 8
"""

_base_ = './vit_b_caltech256.py'
model = dict(head=dict(num_classes=100))
data_preprocessor = dict(num_classes=100)
data_root = 'data/miniimagenet/'
train_dataloader = dict(dataset=dict(data_root=data_root))
val_dataloader = dict(dataset=dict(data_root=data_root))
test_dataloader = val_dataloader
