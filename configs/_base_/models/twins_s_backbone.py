# Twins-SVT-S with all of its maps, for configs that make it their model's backbone.
backbone = dict(
    type='mmpretrain.SVT',
    arch='small',
    out_indices=(0, 1, 2, 3),
    qkv_bias=True,
    norm_after_stage=True,
)
