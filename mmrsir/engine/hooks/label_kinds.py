"""Whether heads and metrics are for the labels that the data has."""

import sys
from collections.abc import Iterator, Mapping
from typing import Any

from mmengine.runner import BaseLoop
from torch import nn

from ...datasets.class_names import leaves
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
    for split, loop in loops.items():
        dataset = next(iter(leaves(loop.dataloader.dataset)))
        records = _records(dataset)
        record = records[0] if records else {}
        several = any(_has_several_labels(one) for one in records)
        if split == 'train' and several and not _mixes_labels(model):
            yield from _head_mistakes(heads)
        for metric in getattr(getattr(loop, 'evaluator', None), 'metrics', ()):
            name = type(metric).__name__
            if name == 'IoUMetric' and record and not metric.format_only:
                yield from _map_mistakes(record, split)
            if record and record.get('gt_label') is None and name in FOR_LABELS:
                said = f'{name} needs labels, and the data has none (with_label=False). Without '
                yield Mistake(f'{split}_evaluator', f'{said}labels, demo/image_demo.py predicts')
            if several and name in FOR_ONE_LABEL:
                said = f'{name} is for one label an image, but the data has lists of labels: use '
                yield Mistake(f'{split}_evaluator', f'{said}MultiLabelMetric or AveragePrecision')
            if name == 'Accuracy':
                yield from _top_mistakes(heads, metric, split)


def _records(dataset: Any) -> list[dict[str, Any]]:
    """Return what is known of some images; nothing where transforms may add labels."""
    if not hasattr(dataset, 'get_data_info'):
        return []
    parts = [getattr(type(dataset), 'prepare_data', None)]
    parts += map(type, getattr(getattr(dataset, 'pipeline', None), 'transforms', ()))
    if any(one is not None and one.__module__.partition('.')[0] not in KNOWN for one in parts):
        return []
    step = max(1, -(-len(dataset) // LOOKED_AT))
    return [dataset.get_data_info(index) for index in range(0, len(dataset), step)]


def _has_several_labels(record: Mapping[str, Any]) -> bool:
    label = record.get('gt_label')  # a list of one is read as a number
    return isinstance(label, (list, tuple)) and len(label) != 1


def _mixes_labels(model: nn.Module) -> bool:
    """Return whether a classifier gets a score for each class, as any head can take."""
    preprocessor = getattr(unwrap(model), 'data_preprocessor', None)
    return bool(getattr(preprocessor, 'to_onehot', False))


def _top_mistakes(heads: Mapping[str, Any], metric: Any, split: str) -> Iterator[Mistake]:
    most = max((head.num_classes for head in heads.values()), default=0)
    largest = max(metric.topk)
    if 0 < most < largest:
        said = f'top-{largest} needs {largest} classes or more, the model has {most}'
        yield Mistake(f'{split}_evaluator.topk', said)


def _map_mistakes(record: Mapping[str, Any], split: str) -> Iterator[Mistake]:
    if record.get('seg_map_path') is None:
        yield Mistake(
            f'{split}_evaluator',
            'IoUMetric needs label maps, and the data has none (data_prefix.seg_map_path is not '
            'set). IoUMetric(format_only=True, output_dir=FOLDER) writes the predictions; leave '
            'LoadAnnotations out of the pipeline',
        )


def _head_mistakes(heads: Mapping[str, Any]) -> Iterator[Mistake]:
    if 'mmpretrain' not in sys.modules:
        return
    from mmpretrain.models import ClsHead

    for place, head in heads.items():
        if isinstance(head, ClsHead):
            kind = type(head).__name__
            said = f'{kind} is for one label an image, but the data has lists of labels: use '
            yield Mistake(f'model.{place}.type', f'{said}MultiLabelLinearClsHead')
