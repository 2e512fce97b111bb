"""A nano RSIR on Tiny-ImageNet in 4 epochs: the cheap recipe that compares mechanisms on a CPU.

The images are 32 x 32 pixels in the first three epochs, then 64 x 64.

Command    python benchmarks/ablate.py --config cls/rsir_n_4e_tinyimagenet
"""

_base_ = './rsir_n_tinyimagenet.py'
train_cfg = dict(max_epochs=4, val_interval=2)
param_scheduler = [
    dict(type='LinearLR', start_factor=1e-3, end=0.5, convert_to_iter_based=True),
    dict(type='CosineAnnealingLR', begin=0.5, end=4, eta_min=1e-6, convert_to_iter_based=True),
]
custom_hooks = [dict(type='ProgressiveResizeHook', sides=(32, 64), milestones=(3,))]
