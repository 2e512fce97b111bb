# MaxViT-B, for configs that make it their model's backbone.
backbone = dict(type='TimmPyramid', model_name='maxvit_base_tf_224')
