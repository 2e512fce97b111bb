# Boxes alone: annotations need no masks.
_base_ = ['mmdet::_base_/datasets/coco_detection.py', './coco_tta.py']
val_evaluator = dict(type='CheckedCocoMetric')
test_evaluator = val_evaluator
tta_model = dict(type='DetTTAModel')
tta_pipeline = _base_.tta_pipeline
tta_pipeline[1]['transforms'][2] = [dict(type='LoadAnnotations', with_bbox=True)]
