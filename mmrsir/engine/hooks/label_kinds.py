"""Whether heads and metrics are for the labels that the data has."""

import sys
from collections.abc import Iterator, Mapping
from typing import Any

from mmengine.runner import BaseLoop
from torch import nn

from ...datasets.class_names import leaves, spread
from ..config_check import Mistake
from ..config_check.built_model import class_heads
from .checkpoint_match import unwrap

FOR_ONE_LABEL = ('Accuracy', 'ConfusionMatrix', 'SingleLabelMetric')
FOR_LABELS = (*FOR_ONE_LABEL, 'AveragePrecision', 'MultiLabelMetric')
LOOKED_AT = 100  # records
# A transform of another package may load labels that no record has.
KNOWN = ('mmcv', 'mmdet', 'mmengine', 'mmpretrain', 'mmrsir', 'mmseg')


def label_mistakes(loops: Mapping[str, BaseLoop], model: Any) -> Iterator[Mistake]:
    """Yield what would end a training, or its first validation, in an error that says little."""
    heads = class_heads(model) if isinstance(model, nn.Module) else {}
    most = max((head.num_classes for head in heads.values()), default=0)
    for split, loop in loops.items():
        evaluator = f'{split}_evaluator'
        records = _records(next(leaves(loop.dataloader.dataset)))
        labels = [one.get('gt_label') for one in records]
        # A list of one label is read as a number.
        several = any(isinstance(one, (list, tuple)) and len(one) != 1 for one in labels)
        if split == 'train' and several:
            yield from _head_mistakes(heads, model)
        for metric in getattr(getattr(loop, 'evaluator', None), 'metrics', ()):
            name = type(metric).__name__
            if name == 'Accuracy' and 0 < most < max(metric.topk):
                said = f'top-{max(metric.topk)} needs as many classes or more, the model has {most}'
                yield Mistake(f'{evaluator}.topk', said)
            if not records:
                continue
            if name in FOR_LABELS and labels[0] is None:
                said = f'{name} needs labels, and the data has none (with_label=False). Without '
                yield Mistake(evaluator, f'{said}labels, demo/image_demo.py predicts')
            if name in FOR_ONE_LABEL and several:
                said = f'{name} is for one label an image, but the data has lists of labels: use '
                yield Mistake(evaluator, f'{said}MultiLabelMetric or AveragePrecision')
            has_map = records[0].get('seg_map_path') is not None
            if name == 'IoUMetric' and not has_map and not metric.format_only:
                yield Mistake(
                    evaluator,
                    'IoUMetric needs label maps, and the data has none (data_prefix.seg_map_path '
                    'is not set). IoUMetric(format_only=True, output_dir=FOLDER) writes the '
                    'predictions; leave LoadAnnotations out of the pipeline',
                )


def _records(dataset: Any) -> list[dict[str, Any]]:
    """Return what is known of some images; nothing where transforms may add labels."""
    if not hasattr(dataset, 'get_data_info'):
        return []
    parts = [getattr(type(dataset), 'prepare_data', None)]
    parts += map(type, getattr(getattr(dataset, 'pipeline', None), 'transforms', ()))
    if any(one is not None and one.__module__.partition('.')[0] not in KNOWN for one in parts):
        return []
    return [dataset.get_data_info(index) for index in spread(len(dataset), LOOKED_AT)]


def _head_mistakes(heads: Mapping[str, Any], model: nn.Module) -> Iterator[Mistake]:
    """Yield heads for one label an image, unless each class gets a score, as any head can take."""
    preprocessor = getattr(unwrap(model), 'data_preprocessor', None)
    if 'mmpretrain' not in sys.modules or getattr(preprocessor, 'to_onehot', False):
        return
    from mmpretrain.models import ClsHead

    for place, head in heads.items():
        if isinstance(head, ClsHead):
            kind = type(head).__name__
            said = f'{kind} is for one label an image, but the data has lists of labels: use '
            yield Mistake(f'model.{place}.type', f'{said}MultiLabelLinearClsHead')
