# CSWin-B (arXiv 2107.00652), for configs that make it their model's backbone.
backbone = dict(
    type='PyramidTransformer',
    arch=dict(embed_dims=96, depths=(2, 4, 32, 2), num_heads=(4, 8, 16, 32)),
    mixers=('cross_shaped',),
    position=None,
)
