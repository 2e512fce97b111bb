# Swin-T's shape in the place of RSIR-T; each row of Table 7 adds its mixers.
_base_ = ['../../upernet/rsir_t_160k_ade20k_512x512.py', '../models/ablation_backbone.py']
model = dict(
    backbone=dict(
        _base_.backbone,
        _delete_=True,
        drop_path_rate=0.3,
        # The checkpoint of a classifier trained with configs/cls/ablation, or Swin's weights that
        # tools/model_converters/swin.py converted; None: from scratch.
        init_cfg=dict(type='Pretrained', checkpoint=None),
    ),
    decode_head=dict(in_channels=[96, 192, 384, 768]),
    auxiliary_head=dict(in_channels=384),
)
