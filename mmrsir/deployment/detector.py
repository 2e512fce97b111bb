"""A whole two-stage detector as one function of tensors, in operators that ONNX has.

mmdet's ``predict`` cannot be exported: it calls operators that mmcv alone has, and asks for values.
Here the same steps call torchvision's ``nms`` and ``roi_align``, which ONNX has as
``NonMaxSuppression`` and ``RoiAlign``.
"""

import math
from functools import reduce
from typing import Any

import torch
from torch import Tensor, nn

from ..utils.errors import InvalidValueError

LONGEST_STEP = abs(math.log(16 / 1000))  # of the logarithm of a box's side, as in mmdet
# What the steps below compute; a detector with other parts computes something else.
KNOWN = {
    'rpn_head': ('RPNHead',),
    'rpn_head.bbox_coder': ('DeltaXYWHBBoxCoder',),
    'rpn_head.prior_generator': ('AnchorGenerator',),
    'roi_head': ('StandardRoIHead',),
    'roi_head.bbox_roi_extractor': ('SingleRoIExtractor',),
    'roi_head.bbox_roi_extractor.roi_layers.0': ('RoIAlign',),
    'roi_head.bbox_head': (
        'BBoxHead',
        'ConvFCBBoxHead',
        'Shared2FCBBoxHead',
        'Shared4Conv1FCBBoxHead',
    ),
    'roi_head.bbox_head.bbox_coder': ('DeltaXYWHBBoxCoder',),
    'roi_head.mask_roi_extractor': ('SingleRoIExtractor',),
    'roi_head.mask_roi_extractor.roi_layers.0': ('RoIAlign',),
    'roi_head.mask_head': ('FCNMaskHead',),
}


class Detector(nn.Module):
    """Boxes, labels, scores and masks of one image, as ``predict`` of the detector gives them.

    Args:
        model: Faster R-CNN or Mask R-CNN of mmdet.

    Raises:
        ValueError: The detector has a part or a setting whose computation is not known here.
    """

    model: Any

    def __init__(self, model: Any) -> None:
        super().__init__()
        _check(model)
        self.model = model
        self.has_masks: bool = model.roi_head.with_mask
        self.output_names = ['boxes', 'labels', 'scores', *['masks'] * self.has_masks]

    def forward(self, images: Tensor, size: Tensor, scale: Tensor) -> tuple[Tensor, ...]:
        """Detect.

        Args:
            images: One normalized image, (1, 3, H, W), padded as the neck needs it.
            size: Its height and width without the padding, (2,).
            scale: These, divided by the height and width of the picture it was made of, (2,).

        Returns:
            Boxes in pixels of the picture, (N, 4) as x1, y1, x2, y2; labels, (N,), int64;
            scores, (N,), descending; where there is a mask head, the share of the object at each
            point of a grid in the box, (N, m, m).
        """
        features = self.model.extract_feat(images)
        proposals = self._propose(features, size)
        sides = scale.flip(0).repeat(2)
        boxes, labels, scores = self._classify(features, proposals, size, sides)
        if not self.has_masks:
            return boxes, labels, scores
        head = self.model.roi_head
        masks = head.mask_head(_pool(head.mask_roi_extractor, features, boxes)).sigmoid()
        index = torch.zeros_like(labels) if head.mask_head.class_agnostic else labels
        index = index[:, None, None, None].expand(-1, 1, *masks.shape[2:])
        return boxes / sides, labels, scores, masks.gather(1, index).squeeze(1)

    def _propose(self, features: tuple[Tensor, ...], size: Tensor) -> Tensor:
        """Return the proposals, (P, 4)."""
        head = self.model.rpn_head
        settings = head.test_cfg
        objectness, deltas = head(features)
        grids = [one.shape[2:] for one in objectness]
        priors = head.prior_generator.grid_priors(grids, device=size.device)
        boxes, scores, levels = [], [], []
        for level, (cls, delta, prior) in enumerate(zip(objectness, deltas, priors, strict=True)):
            flat = cls[0].permute(1, 2, 0).reshape(-1, head.cls_out_channels)
            flat = flat[:, 0].sigmoid() if head.use_sigmoid_cls else flat.softmax(1)[:, 0]
            number = torch.sym_min(settings.nms_pre, flat.shape[0])
            best, order = flat.topk(number)
            delta = delta[0].permute(1, 2, 0).reshape(-1, 4)[order]
            boxes.append(_decode(head.bbox_coder, prior[order], delta, size))
            scores.append(best)
            levels.append(torch.full_like(order, level))
        box, score, level_of = torch.cat(boxes), torch.cat(scores), torch.cat(levels)
        smallest = settings.get('min_bbox_size', -1)
        if smallest >= 0:
            large = ((box[:, 2:] - box[:, :2]) > smallest).all(1).nonzero().squeeze(1)
            box, score, level_of = box[large], score[large], level_of[large]
        return box[_suppress(box, score, level_of, settings.nms)[: settings.max_per_img]]

    def _classify(
        self, features: tuple[Tensor, ...], proposals: Tensor, size: Tensor, sides: Tensor
    ) -> tuple[Tensor, Tensor, Tensor]:
        """Return boxes, labels and scores; the boxes of Mask R-CNN are still in ``size``."""
        head = self.model.roi_head.bbox_head
        settings = self.model.roi_head.test_cfg
        pooled = _pool(self.model.roi_head.bbox_roi_extractor, features, proposals)
        logits, deltas = head(pooled)
        scores = logits.softmax(1)[:, : head.num_classes]
        deltas = deltas.view(-1, 1 if head.reg_class_agnostic else head.num_classes, 4)
        rois = proposals[:, None].expand_as(deltas).reshape(-1, 4)
        boxes = _decode(head.bbox_coder, rois, deltas.reshape(-1, 4), size)
        if not self.has_masks:  # mmdet suppresses boxes after the scaling there, before it here
            boxes = boxes / sides
        boxes = boxes.view_as(deltas).expand(-1, head.num_classes, 4)
        found, labels = (scores > settings.score_thr).nonzero().unbind(1)
        boxes, scores = boxes[found, labels], scores[found, labels]
        keep = _suppress(boxes, scores, labels, settings.nms)
        if settings.max_per_img > 0:
            keep = keep[: settings.max_per_img]
        return boxes[keep], labels[keep], scores[keep]


def _decode(coder: Any, boxes: Tensor, deltas: Tensor, size: Tensor) -> Tensor:
    """Move boxes by deltas, both (N, 4), and clip them to the image."""
    shift, step = (deltas * deltas.new_tensor(coder.stds) + deltas.new_tensor(coder.means)).split(
        2, 1
    )
    corner, other = boxes.split(2, 1)
    sides = other - corner
    centre = (corner + other) * 0.5 + sides * shift
    half = sides * step.clamp(-LONGEST_STEP, LONGEST_STEP).exp() * 0.5
    moved = torch.cat([centre - half, centre + half], 1)
    if not coder.clip_border:
        return moved
    return torch.minimum(moved.clamp(min=0), size.flip(0).repeat(2))


def _suppress(boxes: Tensor, scores: Tensor, groups: Tensor, settings: Any) -> Tensor:
    """Return the indices of the boxes that remain, in descending order of scores."""
    from torchvision.ops import nms

    if not settings.get('class_agnostic', False):
        # Boxes of different groups do not overlap where each group has a place of its own. The
        # further box is for a picture without any.
        furthest = torch.cat([boxes, boxes.new_zeros(1, 4)]).max()
        boxes = boxes + (groups.to(boxes.dtype) * (furthest + 1))[:, None]
    return nms(boxes, scores, settings.iou_threshold)


def _pool(extractor: Any, features: tuple[Tensor, ...], boxes: Tensor) -> Tensor:
    """Return features of boxes, (N, C, h, w), each from the level of its size."""
    from torchvision.ops import roi_align

    layers = extractor.roi_layers
    rois = torch.cat([torch.zeros_like(boxes[:, :1]), boxes], 1)
    levels = extractor.map_roi_levels(rois, len(layers))
    pooled = boxes.new_zeros(boxes.shape[0], extractor.out_channels, *layers[0].output_size)
    for level, (layer, feature) in enumerate(zip(layers, features[: len(layers)], strict=True)):
        here = (levels == level).nonzero().squeeze(1)
        one = roi_align(
            feature,
            rois[here],
            layer.output_size,
            layer.spatial_scale,
            layer.sampling_ratio,
            layer.aligned,
        )
        pooled = pooled.index_put((here,), one)
    return pooled


def _check(model: Any) -> None:
    """Refuse what the functions above do not compute."""
    wrong = []
    for path, known in KNOWN.items():
        if 'mask' in path and not getattr(getattr(model, 'roi_head', None), 'with_mask', False):
            continue
        part: Any = reduce(lambda owner, name: getattr(owner, name, None), path.split('.'), model)
        if type(part).__name__ not in known:
            wrong.append(f'{path} is {type(part).__name__} (known: {", ".join(known)})')
    if not wrong:
        wrong = [text for text, is_so in _unknown_settings(model).items() if is_so]
    if wrong:
        raise InvalidValueError(
            f'{type(model).__name__} cannot be exported as a whole because of these parts: '
            f'{"; ".join(wrong)}. Use --part backbone, or --part proposals with two stages'
        )


def _unknown_settings(model: Any) -> dict[str, bool]:
    """Return settings that change what is computed, and whether the model has them."""
    head = model.roi_head
    tests = {'rpn': model.rpn_head.test_cfg, 'rcnn': head.test_cfg}
    box_head = head.bbox_head
    extractors = [head.bbox_roi_extractor, *([head.mask_roi_extractor] if head.with_mask else [])]
    coders = {'rpn_head': model.rpn_head.bbox_coder, 'bbox_head': box_head.bbox_coder}
    found = {
        'a shared head': head.with_shared_head,
        'a bbox_head without boxes or scores': not (box_head.with_reg and box_head.with_cls),
        'scores that the loss makes': box_head.custom_cls_channels,
        'roi_layer.pool_mode=max': any(one.roi_layers[0].pool_mode != 'avg' for one in extractors),
        'rpn.nms_pre below 1': tests['rpn'].get('nms_pre', -1) < 1,
        'rcnn.mask_thr_binary below 0': head.with_mask and head.test_cfg.mask_thr_binary < 0,
    }
    for name, coder in coders.items():
        found[f'{name}.bbox_coder.add_ctr_clamp'] = coder.add_ctr_clamp
    for stage, test in tests.items():
        nms = dict(test.nms)
        others = nms.keys() - {'type', 'iou_threshold', 'class_agnostic', 'split_thr'}
        found[f'{stage}.nms={nms}'] = nms.get('type', 'nms') != 'nms' or bool(others)
    return found
