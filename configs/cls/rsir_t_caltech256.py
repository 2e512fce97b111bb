"""RSIR-T on Caltech-256 from scratch, 100 epochs at 224 x 224.

The recipe is that of ImageNet-1K with fewer epochs. The paper does not say how it splits the data
set; the split here is ours: tools/dataset_converters/splits/caltech256.json.

Command    python tools/dataset_converters/caltech256.py 256_ObjectCategories.tar
           tools/dist_train.sh configs/cls/rsir_t_caltech256.py 8
"""

_base_ = [
    '../_base_/models/rsir_classifier.py',
    '../_base_/datasets/caltech256.py',
    '../_base_/schedules/classifier_100e.py',
    '../_base_/runtimes/mmpretrain.py',
]
model = dict(head=dict(num_classes=256))
