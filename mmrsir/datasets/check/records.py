"""The records of a COCO file: images, categories and annotations.

A finding is a kind of fault and its detail.
"""

import os
from collections import Counter, defaultdict
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

from ...utils.listing import first_ten
from ...utils.suggestions import did_you_mean
from ..class_counts import ClassCounts
from ..class_names import folded

Record = dict[str, Any]
Finding = tuple[str, str]

_LIMIT = 1e12  # no coordinate or area is larger, and larger integers overflow floats
# Boxes are rounded: how far one may reach out of its image, in pixels.
_TOLERANCE = 1.0


def _is_id(value: Any) -> bool:
    return isinstance(value, (int, str)) or (isinstance(value, float) and value.is_integer())


def _is_text(value: Any) -> bool:
    return isinstance(value, str)


def is_number(value: Any) -> bool:
    """Whether a coordinate or area is a finite number."""
    return isinstance(value, (int, float)) and abs(value) < _LIMIT  # false for NaN


def _is_length(value: Any) -> bool:
    return is_number(value) and value >= 1


def _is_anything(value: Any) -> bool:
    return value is not None


_FIELDS: dict[str, dict[str, Callable[[Any], bool]]] = {
    'images': {'id': _is_id, 'file_name': _is_text, 'width': _is_length, 'height': _is_length},
    'categories': {'id': _is_id, 'name': _is_text},
    'annotations': {
        'id': _is_id,
        'image_id': _is_id,
        'category_id': _is_id,
        'bbox': _is_anything,  # a kind of its own
        'area': is_number,
    },
}
# What a record need not have. Text such as '0' is true to mmdet.
_OPTIONAL: dict[str, dict[str, Callable[[Any], bool]]] = {
    'annotations': {'iscrowd': lambda value: value in (0, 1)}
}
PARTS = tuple(_FIELDS)
_REMEDIES = {
    'area': 'mmdet stops without it; write the pixels of the mask, or the width x height of the box'
}
# Part, kind of fault where it has no such record, and the field of an annotation.
_REFERENCES = (
    ('categories', 'dangling-category', 'category_id'),
    ('images', 'dangling-image', 'image_id'),
)


@dataclass
class Records:
    # By images, categories and annotations: those with the right fields and a new id.
    sound: dict[str, list[Record]] = field(default_factory=lambda: {part: [] for part in _FIELDS})
    ids: dict[str, set[Any]] = field(default_factory=lambda: {part: set() for part in _FIELDS})
    findings: list[Finding] = field(default_factory=list)
    broken: list[Record] = field(default_factory=list)  # annotations that are not sound

    @cached_property
    def of_image(self) -> dict[Any, list[Record]]:
        """The sound annotations of each image, by its id."""
        found = defaultdict(list)
        for annotation in self.sound['annotations']:
            found[annotation['image_id']].append(annotation)
        return found

    def empty_images(self, classes: Sequence[str]) -> list[Record]:
        """Return the images that surely have no annotation of the classes.

        An annotation that is found to be wrong may be of any image and class that it does not name.
        """
        names = {one['id']: one['name'] for one in self.sound['categories']}
        allowed = {None, *classes}
        are_known = set(classes) <= set(names.values())
        meant: set[Any] = set()
        for annotation in self.sound['annotations'] + self.broken:
            image_id = annotation.get('image_id')
            if not _is_id(image_id) or image_id not in self.ids['images']:
                return []
            category = annotation.get('category_id')
            if not are_known or names.get(category if _is_id(category) else None) in allowed:
                meant.add(image_id)
        return [image for image in self.sound['images'] if image['id'] not in meant]


def sort_records(content: Record) -> Records:
    records = Records()
    for part in PARTS:
        records.findings += _missing_fields(part, content[part])
        for position, record in enumerate(content[part]):
            _add(records, part, position, record)
    return records


def _missing_fields(part: str, records: Sequence[Any]) -> Iterator[Finding]:
    """Name each field that records of a part lack, once."""
    for key in _FIELDS[part]:
        lacking = [
            i for i, one in enumerate(records) if isinstance(one, dict) and one.get(key) is None
        ]
        if lacking:
            what_to_do = _REMEDIES.get(key, 'write it into each')
            detail = f'{len(lacking)} of {len(records)} {part} have no {key!r}: {what_to_do}'
            yield 'bad-record', f'{detail}; the first is {part}[{lacking[0]}]'


def _add(records: Records, part: str, position: int, record: Any) -> None:
    name = f'{part}[{position}]'
    if not isinstance(record, dict):
        records.findings.append(('bad-record', f'{name} is {record!r:.60}'))
        return
    record = {key: value for key, value in record.items() if value is not None}
    wrong = [
        f'{key}={record[key]!r:.60}{_quotes(record[key])}'
        for key, is_right in {**_FIELDS[part], **_OPTIONAL.get(part, {})}.items()
        if key in record and not is_right(record[key])
    ]
    if part == 'annotations':  # all else can be checked without these
        record = {'id': name, 'area': 1, **record}
    lacking = _FIELDS[part].keys() - record.keys()
    identity, ids = record.get('id'), records.ids[part]
    if _is_id(identity) and identity in ids:
        records.findings.append(('duplicate-id', f'{name} has id={identity!r} again'))
    elif wrong:
        records.findings.append(('bad-record', f'{name} has {", ".join(wrong)}'))
    elif not lacking:  # else it is named with the others of its kind
        records.sound[part].append(record)
    if part == 'annotations' and (wrong or lacking):
        records.broken.append(record)
    if _is_id(identity):
        ids.add(identity)


def _quotes(value: Any) -> str:
    is_number_as_text = isinstance(value, str) and value.replace('.', '', 1).isdecimal()
    return ' (write a number without quotes)' if is_number_as_text else ''


def class_findings(categories: Sequence[Record], classes: Sequence[str]) -> Iterator[Finding]:
    names = [category['name'] for category in categories]
    for name in classes:
        if name not in names:
            alike = [one for one in names if folded(one) == folded(name)]
            near = did_you_mean(name, alike or names, cutoff=0 if alike else 0.6)
            said = near or f'; the file has {first_ten([repr(one) for one in names]) or "none"}'
            yield 'missing-class', f'no category is called {name!r}{said}'
    # mmdet's labels count the categories of these names in the order of the file.
    labels = [name for name in names if name in classes]
    twice = sorted({name for name in labels if labels.count(name) > 1})
    if twice:
        yield 'duplicate-id', f'several categories are called {", ".join(map(repr, twice))}'


def unused_findings(records: Records, classes: Sequence[str]) -> Iterator[Finding]:
    """Name the categories with objects that the config does not have."""
    name_of = {one['id']: one['name'] for one in records.sound['categories']}
    used = Counter(name_of.get(one['category_id']) for one in records.sound['annotations'])
    unused = [f'{name!r} ({n} objects)' for name, n in used.items() if name not in {None, *classes}]
    if unused and set(classes) <= set(name_of.values()):  # else the missing ones are named
        yield 'unused-class', f'the config does not have {first_ten(unused)}'


def reference_findings(records: Records) -> Iterator[Finding]:
    for annotation in records.sound['annotations']:
        for part, kind, key in _REFERENCES:
            identity, ids = annotation[key], records.ids[part]
            if identity not in ids:
                other: Any = str(identity)
                if isinstance(identity, str) and identity.isdecimal():
                    other = int(identity)
                hint = f'; {other!r} is listed, and the two differ' if other in ids else ''
                yield kind, f'annotation {annotation["id"]!r}: {key}={identity!r}{hint}'


def _is_box(box: Any) -> bool:
    return isinstance(box, list) and len(box) == 4 and all(map(is_number, box))


def _is_normalized(box: list[float], width: float, height: float) -> bool:
    return max(box) <= 1 < min(width, height)


def is_outside(box: Any, width: float, height: float) -> bool:
    """Return whether the image has less than half of a box, or what is given is none in pixels."""
    if not _is_box(box) or min(box[2:]) < 0 or _is_normalized(box, width, height):
        return True
    x, y, w, h = box
    columns, rows = min(x + w, width) - max(x, 0), min(y + h, height) - max(y, 0)
    return 2 * max(columns, 0) * max(rows, 0) < w * h


def box_finding(annotation: Record, width: float, height: float) -> Finding | None:
    box = annotation['bbox']
    if not _is_box(box):
        return 'bad-box', f'bbox={box!r:.60} must be x, y, width, height'
    x, y, w, h = box
    if w < 0 or h < 0:
        return 'bad-box', f'bbox={box} has a negative side'
    if _is_normalized(box, width, height):
        what_to_do = 'multiply them by width and height of the image'
        return 'bad-box', f'bbox={box} has coordinates from 0 to 1: {what_to_do}'
    if min(x, y) < -_TOLERANCE or x + w > width + _TOLERANCE or y + h > height + _TOLERANCE:
        corners = x < w <= width + _TOLERANCE and y < h <= height + _TOLERANCE
        hint = '; two corners? COCO has x, y, width, height' if corners else ''
        return 'bad-box', f'bbox={box} reaches out of {width} x {height} pixels{hint}'
    if min(w, h) < 1 or annotation['area'] <= 0:  # what mmdet passes over
        return 'left-out', f'bbox={box}, area={annotation["area"]}'
    return None


def count_objects(records: Records, classes: Sequence[str]) -> tuple[ClassCounts, list[int]]:
    """Count the objects of each class, and those of each image that an evaluation looks for."""
    objects_of_images = []
    counts = ClassCounts.empty(classes, 'boxes')
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


def _boxes(annotations: Sequence[Record]) -> list[str]:
    return sorted(f'{one["category_id"]} {one["bbox"]}' for one in annotations)


def _is_left_out(annotation: Record) -> bool:
    """Whether mmdet passes over an annotation."""
    box = annotation['bbox']
    if annotation.get('ignore') or not isinstance(box, list) or len(box) != 4:
        return True
    are_numbers = all(isinstance(one, (int, float)) for one in box)
    return not are_numbers or annotation['area'] <= 0 or min(box[2:]) < 1
