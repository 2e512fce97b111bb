# RSIR's nano, for rows that differ from it by the mechanism alone; each adds its mixers.
backbone = dict(
    type='PyramidTransformer',
    arch=dict(embed_dims=32, depths=(2, 2, 4, 2), num_heads=(2, 2, 4, 8)),
)
