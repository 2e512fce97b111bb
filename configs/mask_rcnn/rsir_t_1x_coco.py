"""Mask R-CNN with RSIR-T on COCO, 1x schedule, single scale.

Command    tools/dist_train.sh configs/mask_rcnn/rsir_t_1x_coco.py 8
"""

_base_ = [
    '../_base_/models/mask_rcnn_rsir_fpn.py',
    '../_base_/datasets/coco_instance.py',
    '../_base_/schedules/mask_rcnn_1x.py',
    '../_base_/runtimes/mmdet.py',
]
