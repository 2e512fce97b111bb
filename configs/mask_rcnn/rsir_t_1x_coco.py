"""Mask R-CNN with RSIR-T on COCO, 1x schedule, single scale.

Command    tools/dist_train.sh configs/mask_rcnn/rsir_t_1x_coco.py 8
Cost       8 GPUs x 2 images, 12 epochs; time and memory not measured
Published  box AP 47.6, mask AP 42.7 (Table 3; backbone pretrained on ImageNet-1K)
Measured   not measured
"""

_base_ = [
    '../_base_/models/mask_rcnn_rsir_fpn.py',
    '../_base_/datasets/coco_instance.py',
    '../_base_/schedules/mask_rcnn_1x.py',
    '../_base_/runtimes/mmdet.py',
]
