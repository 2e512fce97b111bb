"""Mask R-CNN with RSIR-T on COCO, 3x schedule, multi-scale.

Command    tools/dist_train.sh configs/mask_rcnn/rsir_t_3x-ms_coco.py 8 --amp
"""

_base_ = [
    '../_base_/models/mask_rcnn_rsir_fpn.py',
    '../_base_/datasets/coco_instance_ms.py',
    '../_base_/schedules/mask_rcnn_3x.py',
    '../_base_/runtimes/mmdet.py',
]
