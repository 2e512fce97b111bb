"""Whether heads and metrics of classifiers are for the labels that the data has."""

import sys
from collections.abc import Iterator, Mapping
from typing import Any

from mmengine.runner import BaseLoop
from torch import nn

from ...datasets.class_names import leaves
from ..config_check import Mistake
from ..config_check.built_model import class_heads

FOR_ONE_LABEL = ('Accuracy', 'ConfusionMatrix', 'SingleLabelMetric')


def label_mistakes(loops: Mapping[str, BaseLoop], model: Any) -> Iterator[Mistake]:
    """Yield what would end a training, or its first validation, in an error that says little."""
    heads = class_heads(model) if isinstance(model, nn.Module) else {}
    for split, loop in loops.items():
        dataset = next(iter(leaves(loop.dataloader.dataset)))
        several = _has_several_labels(dataset)
        if split == 'train' and several:
            yield from _head_mistakes(heads)
        for metric in getattr(getattr(loop, 'evaluator', None), 'metrics', ()):
            name = type(metric).__name__
            if several and name in FOR_ONE_LABEL:
                said = f'{name} is for one label an image, but the data has lists of labels: use '
                yield Mistake(f'{split}_evaluator', f'{said}MultiLabelMetric or AveragePrecision')
            most = max((head.num_classes for head in heads.values()), default=0)
            largest = max(getattr(metric, 'topk', None) or (0,))
            if name == 'Accuracy' and 0 < most < largest:
                said = f'top-{largest} needs {largest} classes or more, the model has {most}'
                yield Mistake(f'{split}_evaluator.topk', said)


def _has_several_labels(dataset: Any) -> bool:
    if not hasattr(dataset, 'get_data_info') or len(dataset) == 0:
        return False
    return isinstance(dataset.get_data_info(0).get('gt_label'), (list, tuple))


def _head_mistakes(heads: Mapping[str, Any]) -> Iterator[Mistake]:
    if 'mmpretrain' not in sys.modules:
        return
    from mmpretrain.models import ClsHead

    for place, head in heads.items():
        if isinstance(head, ClsHead):
            kind = type(head).__name__
            said = f'{kind} is for one label an image, but the data has lists of labels: use '
            yield Mistake(f'model.{place}.type', f'{said}MultiLabelLinearClsHead')
