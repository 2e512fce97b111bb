_base_ = ['mmdet::_base_/datasets/coco_instance.py', './coco_tta.py']
# mmdet's CocoMetric, for any ids and with max_dets for many objects.
val_evaluator = dict(type='CheckedCocoMetric')
test_evaluator = val_evaluator
