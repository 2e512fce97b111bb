# Swin-T, for configs that make it their model's backbone.
backbone = dict(
    type='mmpretrain.SwinTransformer',
    arch='tiny',
    init_cfg=dict(type='TruncNormal', layer='Linear', std=0.02, bias=0.0),
)
