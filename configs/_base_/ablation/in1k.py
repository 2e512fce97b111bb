# Swin-T's shape in the place of RSIR-T; each row of Table 7 adds its mixers.
_base_ = ['../../cls/rsir_t_in1k.py', '../models/ablation_backbone.py']
model = dict(
    backbone=dict(_base_.backbone, _delete_=True, drop_path_rate=0.2, out_indices=(3,)),
    head=dict(in_channels=768),
)
