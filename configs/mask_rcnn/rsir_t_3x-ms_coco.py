"""Mask R-CNN with RSIR-T on COCO, 3x schedule, multi-scale.

Command    tools/dist_train.sh configs/mask_rcnn/rsir_t_3x-ms_coco.py 8 --amp
Cost       8 GPUs x 2 images, 36 epochs; time and memory not measured
Published  none: the paper gives the 1x schedule only
Measured   not measured
"""

_base_ = [
    '../_base_/models/mask_rcnn_rsir_fpn.py',
    '../_base_/datasets/coco_instance_ms.py',
    '../_base_/schedules/mask_rcnn_3x.py',
    '../_base_/runtimes/mmdet.py',
]
