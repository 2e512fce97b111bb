"""Comparing what two programs find in the same picture."""

from typing import NamedTuple

import numpy as np
from torch import Tensor

BOXES = 0.1  # pixels
SCORES = 0.01
SAME = 0.5  # overlap of boxes of the same object


class Detections(NamedTuple):
    """Objects in a picture.

    Args:
        boxes: In pixels, (N, 4) as x1, y1, x2, y2.
        labels: Numbers of the classes, (N,).
        scores: (N,).
        masks: (N, H, W), bool; None where the detector has no masks.
    """

    boxes: np.ndarray
    labels: np.ndarray
    scores: np.ndarray
    masks: np.ndarray | None = None

    @classmethod
    def of_instances(cls, found: object) -> 'Detections':
        """Return the ``pred_instances`` of a data sample of mmdet."""
        values = (getattr(found, name, None) for name in ('bboxes', 'labels', 'scores', 'masks'))
        return cls(*(one.numpy() if isinstance(one, Tensor) else one for one in values))  # type: ignore[arg-type]


class Difference(NamedTuple):
    """How far two sets of objects are apart.

    Args:
        number: Objects of the first set.
        alone: Objects of either set without a partner in the other.
        boxes: Largest difference of coordinates of partners, pixels.
        scores: Largest difference of their scores.
        pixels: Share of the pixels in masks of partners, all together, that are in one alone.
    """

    number: int
    alone: int
    boxes: float
    scores: float
    pixels: float

    @property
    def is_small(self) -> bool:
        """Whether the sets are equal for any use."""
        return not self.alone and self.boxes <= BOXES and self.scores <= SCORES


def compare_detections(expected: Detections, found: Detections) -> Difference:
    """Compare objects; partners have the same label, and boxes that overlap most.

    Args:
        expected: The one set.
        found: The other.
    """
    overlap = _overlap(expected.boxes, found.boxes)
    if overlap.size:  # boxes without an area overlap nothing
        overlap[np.abs(expected.boxes[:, None] - found.boxes).max(2) <= BOXES] = 1
    overlap[expected.labels[:, None] != found.labels] = 0
    boxes = scores = 0.0
    partners = in_one = in_either = 0
    while overlap.size and overlap.max() > SAME:
        one, other = np.unravel_index(overlap.argmax(), overlap.shape)
        overlap[one], overlap[:, other] = 0, 0
        partners += 1
        boxes = max(boxes, float(np.abs(expected.boxes[one] - found.boxes[other]).max()))
        scores = max(scores, float(abs(expected.scores[one] - found.scores[other])))
        if expected.masks is not None and found.masks is not None:
            masks = expected.masks[one], found.masks[other]
            in_either += int(np.logical_or(*masks).sum())
            in_one += int(np.logical_xor(*masks).sum())
    number = len(expected.boxes)
    return Difference(
        number, number + len(found.boxes) - 2 * partners, boxes, scores, in_one / max(1, in_either)
    )


def _overlap(one: np.ndarray, other: np.ndarray) -> np.ndarray:
    """Return intersection over union, (N, M)."""
    begin = np.maximum(one[:, None, :2], other[None, :, :2])
    end = np.minimum(one[:, None, 2:], other[None, :, 2:])
    common = (end - begin).clip(0).prod(2)
    areas = [(boxes[:, 2:] - boxes[:, :2]).clip(0).prod(1) for boxes in (one, other)]
    union = areas[0][:, None] + areas[1] - common
    return common / np.maximum(union, np.finfo(np.float32).tiny)
