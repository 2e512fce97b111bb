"""Faster R-CNN with RSIR-T on COCO, 1x schedule: for data with boxes and no masks.

Command    tools/dist_train.sh configs/mask_rcnn/faster_rcnn_rsir_t_1x_coco.py 8
"""

_base_ = [
    '../_base_/models/faster_rcnn_rsir_fpn.py',
    '../_base_/datasets/coco_detection.py',
    '../_base_/schedules/mask_rcnn_1x.py',
    '../_base_/runtimes/mmdet.py',
]
