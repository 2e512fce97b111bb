"""RSIR's small on Tiny-ImageNet from scratch, 100 epochs at 64 x 64.

It has the size of the Swin of arXiv 2112.13492, which has 7.1 million parameters, and much the same
augmentation; Swin's 60.87 there is what it is to be compared with.

Command    python tools/dataset_converters/tiny_imagenet.py tiny-imagenet-200.zip
           python tools/train.py configs/cls/rsir_s_tinyimagenet.py
"""

_base_ = [
    '../_base_/models/rsir_classifier.py',
    '../_base_/datasets/tiny_imagenet_augmented.py',
    '../_base_/schedules/tiny_imagenet_100e.py',
    '../_base_/runtimes/mmpretrain.py',
]
model = dict(
    backbone=dict(arch='small', drop_path_rate=0.1), head=dict(num_classes=200, in_channels=384)
)
default_hooks = dict(checkpoint=dict(max_keep_ckpts=1, save_best='accuracy/top1'))
randomness = dict(seed=0)
