# The lists that tools/dataset_converters/miniimagenet.py writes.
_base_ = 'mmpretrain::_base_/datasets/imagenet_bs64_swin_224.py'
dataset_type = 'CustomDataset'
data_root = 'data/miniimagenet/'
data_preprocessor = dict(num_classes=100)
train_dataloader = dict(
    batch_size=32,
    dataset=dict(
        _delete_=True,
        type=dataset_type,
        data_root=data_root,
        ann_file='meta/train.txt',
        pipeline={{_base_.train_pipeline}},
    ),
)
val_dataloader = dict(
    dataset=dict(
        _delete_=True,
        type=dataset_type,
        data_root=data_root,
        ann_file='meta/val.txt',
        pipeline={{_base_.test_pipeline}},
    ),
)
test_dataloader = val_dataloader
