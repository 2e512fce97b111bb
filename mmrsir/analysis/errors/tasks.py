"""What is to be known of the three tasks."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from mmengine.config import Config
from mmengine.registry import METRICS
from torch import Tensor

from ...utils.errors import InvalidValueError
from . import confusion

Row = dict[str, str | int | float]
COCO_METRICS = ('CocoMetric', 'CheckedCocoMetric')


@dataclass(frozen=True)
class Task:
    """How results of a library are analysed."""

    counted: str  # what a confusion matrix counts
    score: str  # what a score of an image means
    count: Callable[[Any, int], Tensor]  # a data sample's confusion matrix
    rate: Callable[[Any, Tensor], float]  # its score; less is worse
    # Figures of each class, of the whole matrix and what the test of the library reported.
    per_class: Callable[[Tensor, list[str], Mapping[str, float]], list[Row]]


def report_each_class(cfg: Config) -> None:
    settings = cfg.test_evaluator
    kind = settings.get('type') if isinstance(settings, dict) else 'several'
    if kind not in COCO_METRICS:
        allowed = ', '.join(COCO_METRICS)
        raise InvalidValueError(
            f'test_evaluator.type={kind} does not report single classes; allowed: {allowed}'
        )
    reported = settings.get('metric', 'bbox')
    cfg.test_evaluator = [
        dict(settings, metric=one, classwise=True, prefix=one)
        for one in ([reported] if isinstance(reported, str) else reported)
    ]


def _objects_per_class(
    matrix: Tensor, classes: list[str], metrics: Mapping[str, float]
) -> list[Row]:
    rows = []
    for index, name in enumerate(classes):
        row: Row = {'class': name}
        for kind in ('bbox', 'segm'):
            if (key := f'{kind}/{name}_precision') in metrics:
                row[f'{kind}_AP'] = metrics[key]
        objects, found = matrix[index].sum().item(), matrix[index, index].item()
        missed, false = matrix[index, -1].item(), matrix[-1, index].item()
        others = objects - found - missed
        row.update(
            objects=objects, found=found, taken_for_others=others, missed=missed, false=false
        )
        rows.append(row)
    return rows


def _pixels_per_class(
    matrix: Tensor, classes: list[str], metrics: Mapping[str, float]
) -> list[Row]:
    right, found, true = matrix.diagonal(), matrix.sum(0), matrix.sum(1)
    areas = (right.double(), (found + true - right).double(), found.double(), true.double())
    reached = METRICS.get('mmseg.IoUMetric').total_area_to_metrics(*areas)
    return [
        {
            'class': name,
            'IoU': round(100 * reached['IoU'][index], 2),
            'accuracy': round(100 * reached['Acc'][index], 2),
            'pixels': true[index].item(),
        }
        for index, name in enumerate(classes)
    ]


def _images_per_class(
    matrix: Tensor, classes: list[str], metrics: Mapping[str, float]
) -> list[Row]:
    true, found = matrix.nonzero(as_tuple=True)
    counts = matrix[true, found]
    precision, recall, f1_score, support = METRICS.get('mmpretrain.SingleLabelMetric').calculate(
        found.repeat_interleave(counts),
        true.repeat_interleave(counts),
        average=None,
        num_classes=len(classes),
    )
    return [
        {
            'class': name,
            'accuracy': round(recall[index].item(), 2),
            'precision': round(precision[index].item(), 2),
            'f1_score': round(f1_score[index].item(), 2),
            'images': int(support[index]),
        }
        for index, name in enumerate(classes)
    ]


TASKS = {
    'mmdet': Task(
        'objects',
        f'right ones among objects and boxes above a score of {confusion.SCORE_THR}',
        confusion.count_objects,
        confusion.score_objects,
        _objects_per_class,
    ),
    'mmseg': Task(
        'pixels',
        'mean IoU of the classes in the image',
        confusion.count_pixels,
        confusion.score_pixels,
        _pixels_per_class,
    ),
    'mmpretrain': Task(
        'images',
        'probability of the true class',
        confusion.count_image,
        confusion.score_image,
        _images_per_class,
    ),
}
