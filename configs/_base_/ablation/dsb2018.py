# The skeleton of rsir_n_dsb2018.py; each row adds its mixers.
_base_ = ['../../mask_rcnn/rsir_n_dsb2018.py', '../models/ablation_nano_backbone.py']
model = dict(
    backbone=dict(
        _base_.backbone,
        _delete_=True,
        drop_path_rate=0.0,
        init_cfg=dict(type='Pretrained', checkpoint=None),
    )
)
