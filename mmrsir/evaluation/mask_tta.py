"""Test-time augmentation of Mask R-CNN, masks included.

mmdet's own ``DetTTAModel`` merges boxes and refuses masks. Here the boxes of all views are
merged first; then the mask head looks at the merged boxes in every view, and the mask
probabilities are averaged.
"""

from typing import Any, NamedTuple

import torch
from mmdet.models.test_time_augs import DetTTAModel
from mmdet.structures import DetDataSample
from mmdet.structures.bbox import bbox2roi, bbox_flip
from mmengine.registry import MODELS
from mmengine.structures import InstanceData
from torch import Tensor


class _View(NamedTuple):
    """One image as one augmentation shows it, with what the detector finds there."""

    levels: tuple[Tensor, ...]  # feature pyramid, each (1, C, H, W)
    sample: DetDataSample  # pred_instances: boxes in the original image's pixels, unmerged


@MODELS.register_module()
class MaskTTAModel(DetTTAModel):
    """Two-stage detector with a mask head under flips and scales.

    Args:
        module: The detector or its config.
        tta_cfg: ``nms`` for the merged boxes and ``max_per_img``, as in mmdet.
    """

    def test_step(self, data: dict[str, list[Any]]) -> list[DetDataSample]:
        """Detect in a batch of images.

        ``data`` has ``inputs`` and ``data_samples``, each a list over views of lists over images.
        Returns a sample an image, its ``pred_instances`` with boxes (n, 4), scores (n,), labels
        (n,) and masks (n, H, W), in the original image's pixels.
        """
        views = [
            self._detect({key: values[index] for key, values in data.items()})
            for index in range(len(data['inputs']))
        ]
        return [self._merge(list(of_image)) for of_image in zip(*views, strict=True)]

    def _detect(self, data: dict[str, list[Any]]) -> list[_View]:
        detector = self.module
        data = detector.data_preprocessor(data, False)
        samples = data['data_samples']
        levels = detector.extract_feat(data['inputs'])
        proposals = detector.rpn_head.predict(levels, samples, rescale=False)
        roi_head, metas = detector.roi_head, [sample.metainfo for sample in samples]
        found = roi_head.predict_bbox(levels, metas, proposals, roi_head.test_cfg, rescale=True)
        views = []
        for index, (sample, instances) in enumerate(zip(samples, found, strict=True)):
            sample.pred_instances = instances
            views.append(_View(tuple(level[index : index + 1] for level in levels), sample))
        return views

    def _merge(self, views: list[_View]) -> DetDataSample:
        merged = self._merge_single_sample([view.sample for view in views])
        instances = merged.pred_instances
        if len(instances) == 0:
            instances.masks = torch.zeros(
                0, *merged.ori_shape, dtype=torch.bool, device=instances.bboxes.device
            )
            return merged
        probabilities = sum(self._masks(view, instances) for view in views) / len(views)
        roi_head = self.module.roi_head
        roi_head.mask_head.predict_by_feat(
            [probabilities],
            [instances],
            [dict(ori_shape=merged.ori_shape, scale_factor=(1.0, 1.0))],
            roi_head.test_cfg,
            rescale=False,
            activate_map=True,  # these are probabilities already
        )
        return merged

    def _masks(self, view: _View, instances: InstanceData) -> Tensor:
        """Return unflipped mask probabilities of the merged boxes, (n, classes, h, w)."""
        meta = view.sample.metainfo
        boxes = instances.bboxes * instances.bboxes.new_tensor(meta['scale_factor']).repeat(2)
        direction = meta['flip_direction'] if meta.get('flip') else None
        if direction is not None:
            boxes = bbox_flip(boxes, meta['img_shape'], direction)
        logits = self.module.roi_head._mask_forward(view.levels, bbox2roi([boxes]))['mask_preds']
        axes = {None: (), 'horizontal': (3,), 'vertical': (2,), 'diagonal': (2, 3)}[direction]
        return logits.sigmoid().flip(axes)
