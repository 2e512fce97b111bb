# Swin-T's shape in the place of RSIR-T; each row of Table 7 adds its mixers.
_base_ = '../../cls/rsir_t_in1k.py'
model = dict(
    backbone=dict(
        _delete_=True,
        type='PyramidTransformer',
        arch=dict(embed_dims=96, depths=(2, 2, 6, 2), num_heads=(3, 6, 12, 24)),
        downsampling='linear',
        position=None,
        drop_path_rate=0.2,
        out_indices=(3,),
    ),
    head=dict(in_channels=768),
)
