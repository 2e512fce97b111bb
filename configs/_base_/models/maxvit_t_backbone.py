# MaxViT-T, for configs that make it their model's backbone.
backbone = dict(type='TimmPyramid', model_name='maxvit_tiny_tf_224')
