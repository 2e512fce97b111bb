"""Random images with annotations for a whole model of mmdet, mmseg or mmpretrain."""

from typing import Any

import numpy as np
from mmengine.dataset import Compose, pseudo_collate
from mmengine.model import BaseModel
from mmengine.registry import TRANSFORMS
from torch import Tensor

from .cases import Case

OBJECTS = 7  # an image of COCO has 7.3 on average
# The libraries' own transforms bring annotations into their form.
TRANSFORMS_OF: dict[str, list[dict[str, Any]]] = {
    'mmdet': [
        dict(type='mmdet.LoadAnnotations', with_bbox=True, with_mask=True),
        dict(type='mmdet.PackDetInputs'),
    ],
    'mmseg': [dict(type='mmseg.PackSegInputs')],
    'mmpretrain': [dict(type='mmpretrain.PackInputs')],
}


def random_batch(scope: str, model: BaseModel, case: Case) -> tuple[Tensor, list[Any]]:
    """Draw images, and objects or labels in them."""
    generator = np.random.default_rng(0)
    pack = Compose([TRANSFORMS.build(transform) for transform in TRANSFORMS_OF[scope]])
    samples = [pack(_random_sample(generator, case.height, case.width)) for _ in range(case.batch)]
    batch = model.data_preprocessor(pseudo_collate(samples), training=case.training)
    return batch['inputs'], batch['data_samples']


def _random_sample(generator: np.random.Generator, height: int, width: int) -> dict[str, Any]:
    """Draw what the transforms of any of the libraries read."""
    instances = []
    for _ in range(OBJECTS):
        left, right = np.sort(generator.uniform(0, width, 2)).tolist()
        top, bottom = np.sort(generator.uniform(0, height, 2)).tolist()
        outline = [left, top, right, top, right, bottom, left, bottom]
        box = [left, top, right, bottom]
        instances.append(dict(bbox=box, bbox_label=0, mask=[outline], ignore_flag=0))
    return dict(
        img=generator.integers(0, 256, (height, width, 3), dtype=np.uint8),
        img_shape=(height, width),
        ori_shape=(height, width),
        height=height,
        width=width,
        scale_factor=(1.0, 1.0),
        instances=instances,
        gt_seg_map=generator.integers(0, 2, (height, width), dtype=np.uint8),
        gt_label=0,
    )
