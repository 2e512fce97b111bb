"""RSIR-T on Mini-ImageNet from scratch, 100 epochs at 224 x 224.

The recipe is that of ImageNet-1K with fewer epochs. The paper does not say how it splits the data
set; the split here is ours: tools/dataset_converters/splits/miniimagenet.json.

Command    python tools/dataset_converters/miniimagenet.py mini-imagenet.zip
           tools/dist_train.sh configs/cls/rsir_t_miniin.py 8
"""

_base_ = [
    '../_base_/models/rsir_classifier.py',
    '../_base_/datasets/miniimagenet.py',
    '../_base_/schedules/classifier_100e.py',
    '../_base_/runtimes/mmpretrain.py',
]
model = dict(head=dict(num_classes=100))
