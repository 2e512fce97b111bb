"""Mask R-CNN with ResNet-50 on COCO, 1x schedule, single scale.

The recipe is mmdet's usual one for ResNets: SGD, batch norms and the first stage as they were
pretrained on ImageNet-1K, hence it starts from torchvision's weights, which it downloads.

Command    tools/dist_train.sh configs/mask_rcnn/baselines/resnet_50_1x_coco.py 8
"""

_base_ = [
    'mmdet::_base_/models/mask-rcnn_r50_fpn.py',
    '../../_base_/datasets/coco_instance.py',
    'mmdet::_base_/schedules/schedule_1x.py',
    '../../_base_/runtimes/mmdet.py',
]
train_cfg = dict(type='ResumableEpochBasedTrainLoop')
val_cfg = dict(type='CheckedValLoop')
test_cfg = dict(type='CheckedTestLoop')
