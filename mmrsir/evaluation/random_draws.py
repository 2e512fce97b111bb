"""The mean of several draws of random windows, and how far the draws lie apart.

With ``eval_sampling='random'`` RS-Win draws windows anew in each forward pass (Algorithm 1 of arXiv
2304.06250 to the letter). This model runs another one several times on the same images and merges
what it finds, whichever of the three tasks it is for. One draw with fixed windows gives what the
other model gives.
"""

from collections.abc import Iterable
from copy import deepcopy
from typing import Any

import torch
from mmengine.model import BaseTTAModel
from mmengine.registry import MODELS
from mmengine.structures import BaseDataElement, InstanceData, PixelData
from torch import Tensor

from ..utils.arguments import check_int

SAME_OBJECT = 0.5  # IoU from which boxes of two draws are the same object


@MODELS.register_module()
class RandomDraws(BaseTTAModel):
    """A detector, segmentor or classifier, averaged over draws of its random windows.

    Args:
        module: The model or its config; its backbone should have ``eval_sampling='random'``.
        num_draws: Number of draws, K.
        data_preprocessor: That of the model, where its config does not have it.
    """

    def __init__(self, module: Any, num_draws: int = 8, data_preprocessor: Any = None) -> None:
        super().__init__(module, data_preprocessor)
        check_int('num_draws', num_draws, minimum=1)
        self.num_draws = num_draws

    def test_step(self, data: Any) -> list[BaseDataElement]:
        """Predict for a batch of images, as a data loader gives it.

        Returns:
            One sample an image. Classifiers: ``pred_score``, the mean, and ``score_variance``,
            (classes,). Segmentors: ``seg_logits``, here mean probabilities, ``pred_sem_seg`` and
            ``uncertainty``, (1, H, W), the variance summed over classes. Detectors:
            ``pred_instances`` with mean boxes, scores and masks, the deviation ``score_std``, and,
            with masks, ``uncertainty``, (1, H, W), the variance of the score that covers a pixel.
        """
        draws = [self.module.test_step(deepcopy(data)) for _ in range(self.num_draws)]
        return self.merge_preds([list(of_image) for of_image in zip(*draws, strict=True)])

    def merge_preds(self, data_samples_list: list[list[Any]]) -> list[BaseDataElement]:
        for samples in data_samples_list:
            if 'pred_instances' in samples[0]:
                self._merge_instances(samples)
            elif 'seg_logits' in samples[0]:
                self._merge_segmentations(samples)
            else:
                mean, variance = _moments(sample.pred_score for sample in samples)
                samples[0].set_pred_score(mean).set_pred_label(mean.argmax(0))
                samples[0].set_field(variance, 'score_variance')
        return [samples[0] for samples in data_samples_list]

    def _merge_segmentations(self, samples: list[Any]) -> None:
        logits = (sample.seg_logits.data for sample in samples)
        # Of a single class mmseg calls probabilities so.
        mean, variance = _moments(one if len(one) == 1 else one.softmax(0) for one in logits)
        if len(mean) == 1:
            labels = (mean > self.module.decode_head.threshold).long()
        else:
            labels = mean.argmax(0, keepdim=True)
        maps = dict(seg_logits=mean, pred_sem_seg=labels, uncertainty=variance.sum(0, keepdim=True))
        samples[0].set_data({name: PixelData(data=values) for name, values in maps.items()})

    def _merge_instances(self, samples: list[Any]) -> None:
        from mmcv.ops import bbox_overlaps  # absent from mmcv-lite

        draws = [sample.pred_instances for sample in samples]
        merged = _kept_instances(draws)
        with_masks = 'masks' in merged
        scores: list[Tensor] = []
        boxes: Any = 0.0
        votes: Any = 0
        times_n: Any = 0
        for instances in draws:
            if len(instances) == 0 or len(merged) == 0:
                scores.append(torch.zeros_like(merged.scores))
                continue
            # What the draw says of each kept object: its most overlapping box of the same class.
            overlaps = bbox_overlaps(merged.bboxes, instances.bboxes)
            best, index = (overlaps * (merged.labels.unsqueeze(1) == instances.labels)).max(1)
            found = best >= SAME_OBJECT
            scores.append(torch.where(found, instances.scores[index], 0))
            boxes = boxes + instances.bboxes[index] * found.unsqueeze(1)
            times_n = times_n + found.int()
            if with_masks:
                votes = votes + (instances.masks[index] & found[:, None, None]).int()
        if len(merged):
            merged.scores, variance = _moments(scores)
            merged.score_std = variance.sqrt()
            merged.bboxes = boxes / times_n.clamp(min=1).unsqueeze(1)
            if with_masks:
                merged.masks = 2 * votes > times_n[:, None, None]
            merged = merged[times_n > 0]  # a box without an area overlaps with nothing
            merged = merged[merged.scores.argsort(descending=True, stable=True)]
        samples[0].pred_instances = merged
        if with_masks:
            _, variance = _moments(map(_coverage, draws))
            samples[0].set_data(dict(uncertainty=PixelData(data=variance.unsqueeze(0))))


def _moments(draws: Iterable[Tensor]) -> tuple[Tensor, Tensor]:
    """Return the mean and the variance of values of which only one draw is in memory at a time.

    By Welford's update, in double precision.
    """
    mean: Any = 0.0
    squares: Any = 0.0
    number = 0
    for number, values in enumerate(draws, start=1):
        change = values.double() - mean
        mean = mean + change / number
        squares = squares + change * (values - mean)
    return mean.float(), (squares / number).float()


def _kept_instances(draws: list[InstanceData]) -> InstanceData:
    from mmcv.ops import batched_nms

    if len(draws) == 1:
        return draws[0]
    union = InstanceData.cat(draws)
    if len(union) == 0:
        return union
    nms = dict(type='nms', iou_threshold=SAME_OBJECT)
    _, kept = batched_nms(union.bboxes, union.scores, union.labels, nms)
    return union[kept]


def _coverage(instances: InstanceData) -> Tensor:
    """Return the highest score of the masks that cover each pixel, (H, W)."""
    masks = instances.masks
    if len(instances) == 0:
        return masks.new_zeros(masks.shape[1:], dtype=torch.float32)
    return (masks * instances.scores[:, None, None]).amax(0)
