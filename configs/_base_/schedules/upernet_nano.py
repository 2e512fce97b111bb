_base_ = './nano.py'
max_iters = 1600
train_cfg = dict(type='ResumableIterBasedTrainLoop', max_iters=max_iters, val_interval=400)
optim_wrapper = dict(optimizer=dict(lr=0.002))
param_scheduler = [
    dict(type='LinearLR', start_factor=0.01, by_epoch=False, begin=0, end=100),
    dict(type='PolyLR', eta_min=0.0, power=1.0, by_epoch=False, begin=100, end=max_iters),
]
