"""What is taken for what in an image, for the three tasks, and how well the image is done.

A confusion matrix has a row for each true class and a column for each predicted one.
"""

from typing import Any

import torch
from torch import Tensor

SCORE_THR = 0.3
IOU_THR = 0.5
NO_OBJECT = 'no object'  # row and column of detection, after those of the classes


def count_objects(sample: Any, num_classes: int) -> Tensor:
    """Match the objects that were found with the true ones.

    An object is found where a box of its class covers it with an IoU of 0.5 or more; what is left
    is matched with boxes of other classes. Boxes with a score of 0.3 or less do not count, nor do
    those that lie mostly in a crowd, which COCO ignores. Returns (K + 1, K + 1): the last row is of
    boxes without an object, the last column of objects without a box.
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


def count_pixels(sample: Any, num_classes: int) -> Tensor:
    """Count the pixels of an image, but those that have no true class."""
    truth = sample.gt_sem_seg.data.flatten().cpu().long()
    found = sample.pred_sem_seg.data.flatten().cpu().long()
    labelled = truth < num_classes
    pairs = num_classes * truth[labelled] + found[labelled]
    return pairs.bincount(minlength=num_classes**2).reshape(num_classes, num_classes)


def count_image(sample: Any, num_classes: int) -> Tensor:
    matrix = torch.zeros(num_classes, num_classes, dtype=torch.int64)
    matrix[sample.gt_label.item(), sample.pred_label.item()] = 1
    return matrix


def score_objects(sample: Any, matrix: Tensor) -> float:
    """Return the share of right ones among objects and boxes together; 1 where there are none."""
    total = matrix.sum().item()
    return matrix.trace().item() / total if total else 1.0


def score_pixels(sample: Any, matrix: Tensor) -> float:
    """Return the mean IoU of the classes of an image, true or predicted; 1 where there are none."""
    right = matrix.diagonal()
    union = matrix.sum(0) + matrix.sum(1) - right
    present = union > 0
    return (right[present] / union[present]).mean().item() if present.any() else 1.0


def score_image(sample: Any, matrix: Tensor) -> float:
    return sample.pred_score[sample.gt_label.item()].item()
