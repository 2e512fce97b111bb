"""The metric of the 2018 Data Science Bowl: how well each object is found and outlined."""

import json
from collections import defaultdict
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from mmdet.structures.mask import encode_mask_results
from mmengine.evaluator import BaseMetric
from mmengine.fileio import get
from mmengine.registry import METRICS
from numpy.typing import NDArray
from pycocotools import mask as coco_mask

from ..utils.errors import InvalidValueError
from .coco_truth import EvaluationError

THRESHOLDS = tuple(round(0.5 + 0.05 * step, 2) for step in range(10))
Masks = Sequence[Mapping[str, Any]]


def object_precision(ious: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return TP / (TP + FP + FN) of an image at each of :data:`THRESHOLDS`.

    An object is found at a threshold where a prediction has a larger IoU with it. Every other
    prediction is a false positive, every other object a false negative.
    """
    if not sum(ious.shape):
        return np.ones(len(THRESHOLDS))
    matches_TPO = ious > np.array(THRESHOLDS)[:, None, None]
    # Masks that do not overlap have at most one match each; where they do, one counts.
    found = np.minimum(matches_TPO.any(1).sum(1), matches_TPO.any(2).sum(1))
    return found / (sum(ious.shape) - found)


def without_overlaps(masks: Masks) -> list[Mapping[str, Any]]:
    """Give each pixel to the first mask that has it, as the competition's rules ask for."""
    left = []
    taken: Mapping[str, Any] | None = None
    for mask in masks:
        if taken is not None and coco_mask.area(coco_mask.merge([mask, taken], intersect=True)):
            pixels = coco_mask.decode(mask) & ~coco_mask.decode(taken).astype(bool)
            if not pixels.any():
                continue
            mask = coco_mask.encode(np.asfortranarray(pixels))
        left.append(mask)
        taken = mask if taken is None else coco_mask.merge([taken, mask])
    return left


@METRICS.register_module()
class DSB2018Metric(BaseMetric):
    """Mean over images and IoU thresholds of TP / (TP + FP + FN), with masks.

    The thresholds are 0.5, 0.55, … 0.95. It is what the 2018 Data Science Bowl was judged by. All
    classes count as one. The figures are ``dsb2018/score``, and ``dsb2018/score_50`` and
    ``dsb2018/score_75`` at one threshold.

    Unlike AP it does not look at scores, so it needs to know which predictions are meant. Pixels
    of overlapping predictions go to the one of the higher score.

    Args:
        ann_file: Annotations in COCO's format; their masks are run-length encoded, as
            ``tools/dataset_converters/dsb2018.py`` writes them.
        score_thr: Predictions of at least this score count.
        collect_device: As of mmengine's ``BaseMetric``.
        prefix: As of mmengine's ``BaseMetric``.

    Raises:
        EvaluationError: ``ann_file`` has masks that are no run-length encodings.
        ValueError: ``score_thr`` is not from 0 to 1.
    """

    default_prefix = 'dsb2018'

    def __init__(
        self,
        ann_file: str,
        score_thr: float = 0.5,
        collect_device: str = 'cpu',
        prefix: str | None = None,
    ) -> None:
        super().__init__(collect_device, prefix)
        if not 0 <= score_thr <= 1:
            raise InvalidValueError(f'score_thr={score_thr} must be from 0 to 1')
        self.score_thr = score_thr
        content = json.loads(get(ann_file))
        self.ann_file = ann_file
        self._images = {image['id'] for image in content['images']}
        self._objects: dict[Any, list[Mapping[str, Any]]] = defaultdict(list)
        for annotation in content['annotations']:
            mask = annotation['segmentation']
            if not isinstance(mask, dict) or not isinstance(mask['counts'], str):
                raise EvaluationError(
                    f'{ann_file}: the mask of annotation {annotation["id"]!r} is not a '
                    'compressed run-length encoding, which DSB2018Metric needs: convert the data '
                    'with tools/dataset_converters/dsb2018.py'
                )
            self._objects[annotation['image_id']].append(mask)

    def process(self, data_batch: Any, data_samples: Sequence[dict[str, Any]]) -> None:
        for sample in data_samples:
            image, predicted = sample['img_id'], sample['pred_instances']
            if image not in self._images:
                raise EvaluationError(
                    f'{self.ann_file} has no image with the id {image!r}: the evaluator needs '
                    'the ann_file of its data set'
                )
            if 'masks' not in predicted:
                raise EvaluationError('DSB2018Metric needs a detector that predicts masks')
            scores = predicted['scores'].cpu().numpy()
            order = [i for i in np.argsort(-scores, kind='stable') if scores[i] >= self.score_thr]
            masks = predicted['masks']
            if not isinstance(masks, list):
                masks = encode_mask_results(masks.detach().cpu().numpy())
            kept = without_overlaps([masks[i] for i in order])
            self.results.append(object_precision(_ious(kept, self._objects[image])))

    def compute_metrics(self, results: list[NDArray[np.float64]]) -> dict[str, float]:
        means = np.mean(results, axis=0)
        return {
            'score': float(means.mean()),
            'score_50': float(means[THRESHOLDS.index(0.5)]),
            'score_75': float(means[THRESHOLDS.index(0.75)]),
        }


def _ious(predictions: Masks, objects: Masks) -> NDArray[np.float64]:
    if not predictions or not objects:
        return np.zeros((len(predictions), len(objects)))
    return np.asarray(coco_mask.iou(list(predictions), list(objects), [0] * len(objects)))
