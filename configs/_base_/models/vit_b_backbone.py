# ViT-B/16 for images of 384 x 384, for configs that make it their model's backbone.
backbone = dict(
    type='VisionTransformer',
    arch='deit-base',
    img_size=384,
    drop_rate=0.1,
    drop_path_rate=0.0,
    init_cfg=dict(type='TruncNormal', layer='Linear', std=0.02, bias=0.0),
)
