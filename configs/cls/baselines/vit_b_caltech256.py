"""ViT-B/16 on Caltech-256 from scratch, 100 epochs at 384 x 384.

Command    tools/dist_train.sh configs/cls/baselines/vit_b_caltech256.py 8
Cost       8 GPUs x 32 images, 100 epochs; time and memory not measured
Published  top-1 37.6 (Table 4; on a split that is not published)
Measured   not measured
"""

_base_ = './vit_b_in1k.py'
model = dict(head=dict(num_classes=256))
data_preprocessor = dict(num_classes=256)
train_dataloader = dict(
    dataset=dict(
        _delete_=True,
        type='CustomDataset',
        data_root='data/caltech256/',
        ann_file='meta/train.txt',
        pipeline={{_base_.train_pipeline}},
    ),
)
val_dataloader = dict(
    dataset=dict(
        _delete_=True,
        type='CustomDataset',
        data_root='data/caltech256/',
        ann_file='meta/val.txt',
        pipeline={{_base_.test_pipeline}},
    ),
)
test_dataloader = val_dataloader
train_cfg = dict(max_epochs=100)
