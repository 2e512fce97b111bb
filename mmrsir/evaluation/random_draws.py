"""The mean of several draws of random windows, and how far the draws lie apart.

With ``eval_sampling='random'`` RS-Win draws windows anew in each forward pass (Algorithm 1 of arXiv
2304.06250 to the letter). This model runs another one several times on the same images and merges
what it finds, whichever of the three tasks it is for. One draw with fixed windows gives what the
other model gives.
"""

from copy import deepcopy
from typing import Any

import torch
from mmengine.model import BaseTTAModel
from mmengine.registry import MODELS
from mmengine.structures import BaseDataElement, InstanceData, PixelData
from torch import Tensor

from ..models.arguments import check_int

SAME_OBJECT = 0.5  # IoU from which boxes of two draws are the same object


@MODELS.register_module()
class RandomDraws(BaseTTAModel):
    """A detector, segmentor or classifier, averaged over draws of its random windows.

    Args:
        module: The model or its config; its backbone should have ``eval_sampling='random'``.
        num_draws: Number of draws, K.
        data_preprocessor: That of the model, where its config does not have it.

    Raises:
        ValueError: ``num_draws`` is below 1.
    """

    def __init__(self, module: Any, num_draws: int = 8, data_preprocessor: Any = None) -> None:
        super().__init__(module, data_preprocessor)
        check_int('num_draws', num_draws, minimum=1)
        self.num_draws = num_draws

    def test_step(self, data: Any) -> list[BaseDataElement]:
        """Predict for a batch of images.

        Args:
            data: As a data loader gives it.

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
        """Merge the draws of each image.

        Args:
            data_samples_list: For each image the samples of its draws, of which the first is
                changed.

        Returns:
            One sample an image.
        """
        for samples in data_samples_list:
            if 'pred_instances' in samples[0]:
                self._merge_instances(samples)
            elif 'seg_logits' in samples[0]:
                self._merge_segmentations(samples)
            else:
                _merge_scores(samples)
        return [samples[0] for samples in data_samples_list]

    def _merge_segmentations(self, samples: list[Any]) -> None:
        logits = torch.stack([sample.seg_logits.data for sample in samples])
        is_binary = logits.shape[1] == 1
        probabilities = logits.sigmoid() if is_binary else logits.softmax(1)
        mean = probabilities.mean(0)
        if is_binary:
            labels = (mean > self.module.decode_head.threshold).long()
        else:
            labels = mean.argmax(0, keepdim=True)
        variance = probabilities.var(0, correction=0).sum(0, keepdim=True)
        samples[0].set_data(
            dict(
                seg_logits=PixelData(data=mean),
                pred_sem_seg=PixelData(data=labels),
                uncertainty=PixelData(data=variance),
            )
        )

    def _merge_instances(self, samples: list[Any]) -> None:
        from mmcv.ops import bbox_overlaps  # absent from mmcv-lite

        draws = [sample.pred_instances for sample in samples]
        merged = _kept_instances(draws)
        # What each draw says of each kept object: its most overlapping box of the same class.
        scores, boxes, masks = [], [], []
        for instances in draws:
            overlaps = bbox_overlaps(merged.bboxes, instances.bboxes)
            overlaps = overlaps * (merged.labels.unsqueeze(1) == instances.labels)
            if len(instances) == 0:
                continue
            best, index = overlaps.max(1)
            found = best >= SAME_OBJECT
            scores.append(torch.where(found, instances.scores[index], 0))
            boxes.append(instances.bboxes[index] * found.unsqueeze(1))
            if 'masks' in instances:
                masks.append(instances.masks[index] & found[:, None, None])
        if scores and len(merged):
            scores_Kn = torch.stack(scores)
            times_n = (scores_Kn > 0).sum(0)
            missing = len(draws) - len(scores)
            all_Kn = torch.cat([scores_Kn, scores_Kn.new_zeros(missing, len(merged))])
            merged.scores = all_Kn.mean(0)
            merged.score_std = all_Kn.std(0, correction=0)
            merged.bboxes = torch.stack(boxes).sum(0) / times_n.unsqueeze(1)
            if masks:
                merged.masks = torch.stack(masks).float().sum(0) > times_n[:, None, None] / 2
            merged = merged[merged.scores.argsort(descending=True, stable=True)]
        samples[0].pred_instances = merged
        if 'masks' in merged:
            covered = torch.stack([_coverage(instances) for instances in draws])
            variance = covered.var(0, correction=0).unsqueeze(0)
            samples[0].set_data(dict(uncertainty=PixelData(data=variance)))


def _merge_scores(samples: list[Any]) -> None:
    scores = torch.stack([sample.pred_score for sample in samples])
    mean = scores.mean(0)
    samples[0].set_pred_score(mean).set_pred_label(mean.argmax(0))
    samples[0].set_field(scores.var(0, correction=0), 'score_variance')


def _kept_instances(draws: list[InstanceData]) -> InstanceData:
    """Return one instance for each object of any draw."""
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
