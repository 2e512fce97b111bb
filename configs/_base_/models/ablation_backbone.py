# Swin-T's shape, for the rows of Table 7, each of which adds its mixers.
backbone = dict(
    type='PyramidTransformer',
    arch=dict(embed_dims=96, depths=(2, 2, 6, 2), num_heads=(3, 6, 12, 24)),
    downsampling='linear',
    position=None,
)
