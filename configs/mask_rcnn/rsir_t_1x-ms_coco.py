"""Mask R-CNN with RSIR-T on COCO, 1x schedule, multi-scale: Swin's own 1x recipe.

Swin's row of Table 3 has this recipe, so the paper's RSIR row may have it too.

Command    tools/dist_train.sh configs/mask_rcnn/rsir_t_1x-ms_coco.py 8 --amp
"""

_base_ = [
    '../_base_/models/mask_rcnn_rsir_fpn.py',
    '../_base_/datasets/coco_instance_ms.py',
    '../_base_/schedules/mask_rcnn_1x.py',
    '../_base_/runtimes/mmdet.py',
]
model = dict(backbone=dict(drop_path_rate=0.1))
param_scheduler = [
    dict(type='LinearLR', start_factor=0.001, by_epoch=False, begin=0, end=500),
    dict(type='MultiStepLR', by_epoch=True, begin=0, end=12, milestones=[8, 11], gamma=0.1),
]
