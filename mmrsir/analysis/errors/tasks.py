"""What is taken for what in an image, for the three tasks, and how well the image is done.

``count`` gives a confusion matrix: a row for each true class, a column for each predicted one.
``rate`` gives the score of an image: less is worse. ``per_class`` gives figures of each class, of
the matrix of all images and of what the test of the library reported.
"""

from collections.abc import Mapping
from typing import Any

import torch
from mmengine.config import Config
from mmengine.registry import METRICS
from sklearn.metrics import precision_recall_fscore_support
from torch import Tensor

from ...utils.errors import InvalidValueError

Row = dict[str, str | int | float]
COCO_METRICS = ('CocoMetric', 'CheckedCocoMetric')
SCORE_THR = 0.3
IOU_THR = 0.5
NO_OBJECT = 'no object'  # row and column of detection, after those of the classes


class Objects:
    """Detection."""

    counted = 'objects'
    score = f'right ones among objects and boxes above a score of {SCORE_THR}'

    def count(self, sample: Any, num_classes: int) -> Tensor:
        """Match the objects that were found with the true ones.

        An object is found where a box of its class covers it with an IoU of 0.5 or more; what is
        left is matched with boxes of other classes. Boxes with a score of 0.3 or less do not count,
        nor do those that lie mostly in a crowd, which COCO ignores. Returns (K + 1, K + 1): the
        last row is of boxes without an object, the last column of objects without a box.
        """
        from mmdet.structures.bbox import bbox_overlaps

        truth, found = sample.gt_instances, sample.pred_instances
        scores = found.scores.cpu()
        order = scores.argsort(descending=True)
        order = order[scores[order] > SCORE_THR]
        boxes, labels = found.bboxes.cpu()[order], found.labels.cpu()[order]
        if 'ignored_instances' in sample and len(sample.ignored_instances):
            crowds = sample.ignored_instances.bboxes.cpu()
            counts = bbox_overlaps(boxes, crowds, mode='iof').amax(1) <= IOU_THR
            boxes, labels = boxes[counts], labels[counts]
        true_boxes, true_labels = truth.bboxes.cpu(), truth.labels.cpu()
        overlaps = bbox_overlaps(boxes, true_boxes)
        alike = labels[:, None] == true_labels

        matrix = torch.zeros(num_classes + 1, num_classes + 1, dtype=torch.int64)
        missed = set(range(len(true_labels)))
        false = list(range(len(labels)))
        for allowed in (alike, ~alike):
            unmatched = []
            for box in false:
                candidates = [one for one in missed if allowed[box, one]]
                nearest = max(candidates, key=overlaps[box].__getitem__, default=None)
                if nearest is None or overlaps[box, nearest] < IOU_THR:
                    unmatched.append(box)
                    continue
                missed.remove(nearest)
                matrix[true_labels[nearest], labels[box]] += 1
            false = unmatched
        for one in missed:
            matrix[true_labels[one], num_classes] += 1
        for box in false:
            matrix[num_classes, labels[box]] += 1
        return matrix

    def rate(self, sample: Any, matrix: Tensor) -> float:
        total = matrix.sum().item()
        return matrix.trace().item() / total if total else 1.0

    def per_class(
        self, matrix: Tensor, classes: list[str], metrics: Mapping[str, float]
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


class Pixels:
    """Segmentation."""

    counted = 'pixels'
    score = 'mean IoU of the classes in the image'

    def count(self, sample: Any, num_classes: int) -> Tensor:
        """Count the pixels of an image, but those that have no true class."""
        truth = sample.gt_sem_seg.data.flatten().cpu().long()
        found = sample.pred_sem_seg.data.flatten().cpu().long()
        labelled = truth < num_classes
        pairs = num_classes * truth[labelled] + found[labelled]
        return pairs.bincount(minlength=num_classes**2).reshape(num_classes, num_classes)

    def rate(self, sample: Any, matrix: Tensor) -> float:
        right = matrix.diagonal()
        union = matrix.sum(0) + matrix.sum(1) - right
        present = union > 0
        return (right[present] / union[present]).mean().item() if present.any() else 1.0

    def per_class(
        self, matrix: Tensor, classes: list[str], metrics: Mapping[str, float]
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


class Images:
    """Classification."""

    counted = 'images'
    score = 'probability of the true class'

    def count(self, sample: Any, num_classes: int) -> Tensor:
        matrix = torch.zeros(num_classes, num_classes, dtype=torch.int64)
        matrix[sample.gt_label.item(), sample.pred_label.item()] = 1
        return matrix

    def rate(self, sample: Any, matrix: Tensor) -> float:
        return sample.pred_score[sample.gt_label.item()].item()

    def per_class(
        self, matrix: Tensor, classes: list[str], metrics: Mapping[str, float]
    ) -> list[Row]:
        true, found = matrix.nonzero(as_tuple=True)
        figures = precision_recall_fscore_support(
            true,
            found,
            labels=range(len(classes)),
            sample_weight=matrix[true, found],
            zero_division=0,
        )
        return [
            {
                'class': name,
                'accuracy': round(100 * recall, 2),
                'precision': round(100 * precision, 2),
                'f1_score': round(100 * f1_score, 2),
                'images': int(images),
            }
            for name, precision, recall, f1_score, images in zip(
                classes, *map(list, figures), strict=True
            )
        ]


Task = Objects | Pixels | Images
TASKS: dict[str, Task] = {'mmdet': Objects(), 'mmseg': Pixels(), 'mmpretrain': Images()}


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
