# CSWin-T (arXiv 2107.00652), for configs that make it their model's backbone.
backbone = dict(
    type='PyramidTransformer',
    arch=dict(embed_dims=64, depths=(1, 2, 21, 1), num_heads=(2, 4, 8, 16)),
    mixers=('cross_shaped',),
    position=None,
)
