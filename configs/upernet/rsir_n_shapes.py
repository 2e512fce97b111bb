"""UperNet with a nano RSIR on generated shapes: the segmentation job in small, on a CPU.

Command    python tools/dataset_converters/make_shapes.py
           python tools/train.py configs/upernet/rsir_n_shapes.py
"""

_base_ = [
    '../_base_/models/upernet_rsir_n.py',
    '../_base_/datasets/shapes_ade20k.py',
    '../_base_/schedules/upernet_nano.py',
    '../_base_/runtimes/mmseg.py',
]
num_classes = 5
loss_decode = dict(class_weight=[1.0, 1.0, 1.0, 1.0, 0.2])  # most pixels are background
model = dict(
    data_preprocessor=dict(size=_base_.crop_size),
    decode_head=dict(num_classes=num_classes, dropout_ratio=0.0, loss_decode=loss_decode),
    auxiliary_head=dict(num_classes=num_classes, dropout_ratio=0.0, loss_decode=loss_decode),
)
train_cfg = dict(val_interval=1600)
optim_wrapper = dict(optimizer=dict(weight_decay=0.01))
randomness = dict(seed=0)
auto_scale_lr = dict(enable=False, base_batch_size=8)
default_hooks = dict(logger=dict(interval=20), checkpoint=dict(interval=800))
