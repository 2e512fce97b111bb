"""RSIR-T on Tiny-ImageNet from scratch, 100 epochs at 64 x 64.

Command    python tools/dataset_converters/tiny_imagenet.py tiny-imagenet-200.zip
           python tools/train.py configs/cls/rsir_t_tinyimagenet.py
"""

_base_ = './rsir_s_tinyimagenet.py'
model = dict(backbone=dict(arch='tiny', drop_path_rate=0.2), head=dict(in_channels=512))
