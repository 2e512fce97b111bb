# The number of classes is to be set.
_base_ = './upernet_rsir.py'
channels = 64
model = dict(
    backbone=dict(arch='nano', drop_path_rate=0.0),
    decode_head=dict(in_channels=[32, 64, 128, 256], channels=channels, norm_cfg=dict(type='BN')),
    auxiliary_head=dict(in_channels=128, channels=channels, norm_cfg=dict(type='BN')),
)
