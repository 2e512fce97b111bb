"""Objects of a COCO file by class, and images that it lists more than once."""

import os
from collections import defaultdict
from collections.abc import Iterator, Sequence
from typing import Any

from ..class_counts import ClassCounts
from .records import Finding, Record, Records


def count_objects(records: Records, classes: Sequence[str]) -> ClassCounts:
    """Count the objects of each class as mmdet loads them."""
    counts = ClassCounts.empty(classes, 'boxes', 'boxes', 'masks', 'crowd', 'ignored')
    label_of = {name: label for label, name in enumerate(classes)}
    labels = {
        one['id']: label_of[one['name']]
        for one in records.sound['categories']
        if one['name'] in label_of
    }
    of_image = _by_image(records)
    for image in records.sound['images']:
        counts.add_objects(
            [
                {
                    'bbox_label': labels[one['category_id']],
                    'ignore_flag': one.get('iscrowd'),
                    'mask': one.get('segmentation'),
                    'left_out': _is_left_out(one),
                }
                for one in of_image[image['id']]
                if one['category_id'] in labels
            ]
        )
    counts.total = counts.num_images
    return counts


def objects_of_images(records: Records, classes: Sequence[str]) -> list[int]:
    """Count the objects of each image that an evaluation looks for."""
    known = {one['id'] for one in records.sound['categories'] if one['name'] in classes}
    of_image = _by_image(records)
    return [
        sum(one['category_id'] in known and not one.get('iscrowd') for one in of_image[image['id']])
        for image in records.sound['images']
    ]


def repeated_images(records: Records) -> Iterator[Finding]:
    """Find files that are listed under several ids."""
    of_image = _by_image(records)
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
        objects = [of_image[image['id']] for image in images]
        numbers = ', '.join(str(len(one)) for one in objects)
        said = f'{name!r} is listed under the image ids {ids}, with {numbers} annotations'
        same = all(_boxes(one) == _boxes(objects[0]) for one in objects)
        yield ('repeated-file' if same else 'two-records'), said


def _by_image(records: Records) -> dict[Any, list[Record]]:
    of_image = defaultdict(list)
    for annotation in records.sound['annotations']:
        of_image[annotation['image_id']].append(annotation)
    return of_image


def _boxes(annotations: Sequence[Record]) -> list[str]:
    return sorted(f'{one["category_id"]} {one["bbox"]}' for one in annotations)


def _is_left_out(annotation: Record) -> bool:
    """Whether mmdet passes over an annotation."""
    box = annotation['bbox']
    if annotation.get('ignore') or not isinstance(box, list) or len(box) != 4:
        return True
    return (
        annotation['area'] <= 0
        or not all(isinstance(one, (int, float)) for one in box)
        or (min(box[2:]) < 1)
    )
