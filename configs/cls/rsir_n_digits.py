"""Classification of handwritten digits with a nano RSIR, on a CPU.

scikit-learn's 1,797 real digits of 8 x 8 pixels, enlarged; a fifth of them, held out by a
seeded, stratified split, are tested.

Command    python tools/dataset_converters/digits.py
           python tools/train.py configs/cls/rsir_n_digits.py
"""

_base_ = './rsir_n_shapes.py'
model = dict(head=dict(num_classes=10))
data_preprocessor = dict(num_classes=10)
data_root = 'data/digits/'
resize = dict(type='Resize', scale=(32, 32), interpolation='bicubic')
train_pipeline = [
    dict(type='LoadImageFromFile'),
    resize,
    dict(type='RandomCrop', crop_size=32, padding=2, padding_mode='edge'),
    dict(type='PackInputs'),
]
test_pipeline = [dict(type='LoadImageFromFile'), resize, dict(type='PackInputs')]
train_dataloader = dict(dataset=dict(data_root=data_root, pipeline=train_pipeline))
val_dataloader = dict(dataset=dict(data_root=data_root, pipeline=test_pipeline))
test_dataloader = val_dataloader
