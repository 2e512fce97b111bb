"""Whether heads and metrics are for the labels that the data has."""

import sys
from collections.abc import Iterator, Mapping
from typing import Any

from mmengine.runner import BaseLoop
from torch import nn

from ...datasets.class_names import leaves
from ..config_check import Mistake
from ..config_check.built_model import class_heads

FOR_ONE_LABEL = ('Accuracy', 'ConfusionMatrix', 'SingleLabelMetric')
FOR_LABELS = (*FOR_ONE_LABEL, 'AveragePrecision', 'MultiLabelMetric')


def label_mistakes(loops: Mapping[str, BaseLoop], model: Any) -> Iterator[Mistake]:
    """Yield what would end a training, or its first validation, in an error that says little."""
    heads = class_heads(model) if isinstance(model, nn.Module) else {}
    for split, loop in loops.items():
        dataset = next(iter(leaves(loop.dataloader.dataset)))
        record = _first_record(dataset)
        several = isinstance(record.get('gt_label'), (list, tuple))
        if split == 'train' and several:
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
            most = max((head.num_classes for head in heads.values()), default=0)
            largest = max(getattr(metric, 'topk', None) or (0,))
            if name == 'Accuracy' and 0 < most < largest:
                said = f'top-{largest} needs {largest} classes or more, the model has {most}'
                yield Mistake(f'{split}_evaluator.topk', said)


def _first_record(dataset: Any) -> dict[str, Any]:
    """Return what is known of the first image; nothing where that is unknown."""
    if not hasattr(dataset, 'get_data_info') or len(dataset) == 0:
        return {}
    record: dict[str, Any] = dataset.get_data_info(0)
    return record


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
