"""Objects of a COCO file: counted by class, drawn; and images that it lists more than once."""

import os
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence

import cv2
import numpy as np

from ..class_counts import ClassCounts
from ..loading.headers import Pixels
from .masks import decode_runs
from .records import Finding, Record, Records


def count_objects(records: Records, classes: Sequence[str]) -> tuple[ClassCounts, list[int]]:
    """Count the objects of each class, and those of each image that an evaluation looks for."""
    objects_of_images = []
    counts = ClassCounts.empty(classes, 'boxes', 'boxes', 'masks', 'crowd', 'ignored')
    label_of = {name: label for label, name in enumerate(classes)}
    labels = {
        one['id']: label_of[one['name']]
        for one in records.sound['categories']
        if one['name'] in label_of
    }
    for image in records.sound['images']:
        objects = [one for one in records.of_image[image['id']] if one['category_id'] in labels]
        objects_of_images.append(sum(not one.get('iscrowd') for one in objects))
        counts.add_objects(
            [
                {
                    'bbox_label': labels[one['category_id']],
                    'ignore_flag': one.get('iscrowd'),
                    'mask': one.get('segmentation'),
                    'left_out': _is_left_out(one),
                }
                for one in objects
            ]
        )
    counts.total = counts.num_images
    return counts, objects_of_images


def repeated_images(records: Records) -> Iterator[Finding]:
    listed = defaultdict(list)
    for image in records.sound['images']:
        listed[os.path.normpath(image['file_name'])].append(image)
    for name, images in listed.items():
        if len(images) == 1:
            continue
        sizes = sorted({(image['width'], image['height']) for image in images})
        if len(sizes) > 1:
            said = ' and '.join(f'{width} x {height}' for width, height in sizes)
            yield 'two-sizes', f'{name!r} is listed as {said} pixels'
        ids = ', '.join(repr(image['id']) for image in images)
        objects = [records.of_image[image['id']] for image in images]
        numbers = ', '.join(str(len(one)) for one in objects)
        said = f'{name!r} is listed under the image ids {ids}, with {numbers} annotations'
        same = all(_boxes(one) == _boxes(objects[0]) for one in objects)
        yield ('repeated-file' if same else 'two-records'), said


def draw_objects(
    labels_of: Mapping[str, tuple[Record, Sequence[Record]]], path: str
) -> Pixels | None:
    """Draw an image's objects, by mask or else box: their numbers, (H, W); None without objects."""
    image, objects = labels_of[path]
    height, width = int(image['height']), int(image['width'])
    drawn = np.zeros((height, width), np.int32)
    for number, one in enumerate(objects, start=1):
        mask = one.get('segmentation')
        if isinstance(mask, dict):
            drawn[decode_runs(mask) > 0] = number
        elif mask:
            polygons = [np.reshape(polygon, (-1, 2)).round().astype(np.int32) for polygon in mask]
            cv2.fillPoly(drawn, polygons, number)
        else:
            x, y, w, h = (round(side) for side in one['bbox'])
            drawn[max(y, 0) : y + h, max(x, 0) : x + w] = number
    return drawn if objects else None


def _boxes(annotations: Sequence[Record]) -> list[str]:
    return sorted(f'{one["category_id"]} {one["bbox"]}' for one in annotations)


def _is_left_out(annotation: Record) -> bool:
    """Whether mmdet passes over an annotation."""
    box = annotation['bbox']
    if annotation.get('ignore') or not isinstance(box, list) or len(box) != 4:
        return True
    are_numbers = all(isinstance(one, (int, float)) for one in box)
    return not are_numbers or annotation['area'] <= 0 or min(box[2:]) < 1
