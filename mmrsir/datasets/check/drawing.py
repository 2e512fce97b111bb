"""The objects of a COCO file as a map of pixels."""

from collections.abc import Mapping, Sequence
from typing import Any

import cv2
import numpy as np

from ..loading.headers import Pixels

Record = dict[str, Any]


def draw_objects(
    labels_of: Mapping[str, tuple[Record, Sequence[Record]]], path: str
) -> Pixels | None:
    """Draw the objects of an image, those with masks by their masks, others by their boxes."""
    image, objects = labels_of[path]
    height, width = int(image['height']), int(image['width'])
    drawn = np.zeros((height, width), np.int32)
    for number, one in enumerate(objects, start=1):
        mask = one.get('segmentation')
        if isinstance(mask, dict):
            drawn[_decode(mask) > 0] = number
        elif mask:
            polygons = [np.reshape(polygon, (-1, 2)).round().astype(np.int32) for polygon in mask]
            cv2.fillPoly(drawn, polygons, number)
        else:
            x, y, w, h = (round(side) for side in one['bbox'])
            drawn[max(y, 0) : y + h, max(x, 0) : x + w] = number
    return drawn if objects else None


def _decode(mask: Record) -> Pixels:
    from pycocotools import mask as coder

    if isinstance(mask['counts'], list):
        mask = coder.frPyObjects(mask, *mask['size'])
    return coder.decode(mask)
