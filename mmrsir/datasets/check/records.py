"""The records of a COCO file: images, categories and annotations.

A finding is a kind of fault and its detail.
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from difflib import get_close_matches
from typing import Any

Record = dict[str, Any]
Finding = tuple[str, str]

_LIMIT = 1e12  # no coordinate or area is larger, and larger integers overflow floats
# Boxes are rounded: how far one may reach out of its image, in pixels.
_TOLERANCE = 1.0
_LEAST_COORDINATES = 6  # a triangle


def _is_id(value: Any) -> bool:
    return isinstance(value, (int, str)) or (isinstance(value, float) and value.is_integer())


def _is_text(value: Any) -> bool:
    return isinstance(value, str)


def _is_number(value: Any) -> bool:
    return isinstance(value, (int, float)) and abs(value) < _LIMIT  # false for NaN


def _is_length(value: Any) -> bool:
    return _is_number(value) and value >= 1


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
        'area': _is_number,
    },
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
    """The records of a COCO file.

    Attributes:
        sound: By ``images``, ``categories`` and ``annotations``, those that have the right fields
            and an id that none before them has.
        ids: Likewise the ids of all that have one.
        findings: What is wrong with the others.
    """

    sound: dict[str, list[Record]] = field(default_factory=lambda: {part: [] for part in _FIELDS})
    ids: dict[str, set[Any]] = field(default_factory=lambda: {part: set() for part in _FIELDS})
    findings: list[Finding] = field(default_factory=list)


def sort_records(content: Record) -> Records:
    """Check the fields and ids of the records.

    Args:
        content: What the JSON file holds: the lists ``images``, ``categories`` and ``annotations``.

    Returns:
        The records.
    """
    records = Records()
    for part in PARTS:
        records.findings += _missing_fields(part, content[part])
        for position, record in enumerate(content[part]):
            _add(records, part, position, record)
    return records


def _missing_fields(part: str, records: Sequence[Any]) -> Iterator[Finding]:
    """Name each field that records of a part lack, once."""
    for key in _FIELDS[part]:
        lacking = [i for i, one in enumerate(records) if isinstance(one, dict) and key not in one]
        if lacking:
            what_to_do = _REMEDIES.get(key, 'write it into each')
            detail = f'{len(lacking)} of {len(records)} {part} have no {key!r}: {what_to_do}'
            yield 'bad-record', f'{detail}; the first is {part}[{lacking[0]}]'


def _add(records: Records, part: str, position: int, record: Any) -> None:
    name = f'{part}[{position}]'
    if not isinstance(record, dict):
        records.findings.append(('bad-record', f'{name} is {record!r:.60}'))
        return
    wrong = [
        f'{key}={record.get(key)!r:.60}'
        for key, is_right in _FIELDS[part].items()
        if key in record and not is_right(record[key])
    ]
    lacking = _FIELDS[part].keys() - record.keys()
    if lacking == {'area'} and not wrong:  # all else can be checked
        record = {**record, 'area': 1}
    identity, ids = record.get('id'), records.ids[part]
    if _is_id(identity) and identity in ids:
        records.findings.append(('duplicate-id', f'{name} has id={identity!r} again'))
    elif lacking - {'area'} or (lacking and wrong):
        pass  # named with the others of its kind
    elif wrong:
        records.findings.append(('bad-record', f'{name} has {", ".join(wrong)}'))
    else:
        records.sound[part].append(record)
    if _is_id(identity):
        ids.add(identity)


def class_findings(categories: Sequence[Record], classes: Sequence[str]) -> Iterator[Finding]:
    """Compare the categories with the classes of the config.

    Args:
        categories: The sound categories.
        classes: Names of the classes.

    Yields:
        Findings.
    """
    names = [category['name'] for category in categories]
    missing = [name for name in classes if name not in names]
    for name in missing:
        nearest = get_close_matches(name, names, n=1)
        hint = f'; did you mean {nearest[0]!r}?' if nearest else ''
        yield 'missing-class', f'no category is called {name!r}{hint}'
    # mmdet's labels count the categories of these names in the order of the file.
    labels = [name for name in names if name in classes]
    twice = sorted({name for name in labels if labels.count(name) > 1})
    if twice:
        yield 'duplicate-id', f'several categories are called {", ".join(map(repr, twice))}'


def annotation_findings(records: Records, masks: bool) -> Iterator[Finding]:
    """Check the annotations.

    Args:
        records: The records.
        masks: Whether their segmentations are used.

    Yields:
        Findings.
    """
    images = {image['id']: image for image in records.sound['images']}
    for annotation in records.sound['annotations']:
        name = f'annotation {annotation["id"]!r}'
        image_id = annotation['image_id']
        for part, kind, key in _REFERENCES:
            identity, ids = annotation[key], records.ids[part]
            if identity not in ids:
                other: Any = str(identity)
                if isinstance(identity, str) and identity.isdecimal():
                    other = int(identity)
                hint = f'; {other!r} is listed, and the two differ' if other in ids else ''
                yield kind, f'{name}: {key}={identity!r}{hint}'
        if image_id not in images or annotation.get('ignore'):  # mmdet ignores it
            continue
        size = images[image_id]['width'], images[image_id]['height']
        finding = _box_finding(annotation, *size)
        if finding is None and masks:
            finding = _mask_finding(annotation.get('segmentation'), *size)
        if finding is not None:
            kind, detail = finding
            yield kind, f'{name} of image {image_id!r}: {detail}'


def _box_finding(annotation: Record, width: float, height: float) -> Finding | None:
    box = annotation['bbox']
    if not (isinstance(box, list) and len(box) == 4 and all(map(_is_number, box))):
        return 'bad-box', f'bbox={box!r:.60} must be x, y, width, height'
    x, y, w, h = box
    if w < 0 or h < 0:
        return 'bad-box', f'bbox={box} has a negative side'
    if min(x, y) < -_TOLERANCE or x + w > width + _TOLERANCE or y + h > height + _TOLERANCE:
        return 'bad-box', f'bbox={box} reaches out of {width} x {height} pixels'
    if min(w, h) < 1 or annotation['area'] <= 0:  # what mmdet passes over
        return 'left-out', f'bbox={box}, area={annotation["area"]}'
    return None


def _mask_finding(mask: Any, width: float, height: float) -> Finding | None:
    if isinstance(mask, dict):
        return _run_length_finding(mask, width, height)
    if not isinstance(mask, list) or not mask:
        return 'bad-polygon', f'segmentation={mask!r:.60} holds none'
    for polygon in mask:
        if not isinstance(polygon, list) or not all(map(_is_number, polygon)):
            return 'bad-polygon', f'{polygon!r:.60} must be numbers'
        if len(polygon) < _LEAST_COORDINATES or len(polygon) % 2:
            return 'bad-polygon', f'a polygon has {len(polygon)} coordinates'
    return None


def _run_length_finding(mask: Record, width: float, height: float) -> Finding | None:
    size, counts = mask.get('size'), mask.get('counts')
    if size != [height, width]:
        return 'bad-rle', f'size={size!r:.60} must be [{height}, {width}], the height and width'
    # pycocotools decodes too few lengths without a word, with chance pixels for the rest.
    lengths = _unpack(counts) if isinstance(counts, str) else counts
    if not isinstance(lengths, list) or not all(isinstance(n, int) and n >= 0 for n in lengths):
        return 'bad-rle', f'counts={counts!r:.60} are no run lengths'
    if sum(lengths) != width * height:
        return 'bad-rle', f'counts are for {sum(lengths)} pixels, the image has {width * height}'
    return None


def _unpack(text: str) -> list[int] | None:
    """Return the run lengths of COCO's compressed string; None if it is none.

    A character carries 5 bits of a number, lowest first, and a bit that says whether more follow;
    the top bit of the last is the sign. From the fourth on, the numbers are differences to the
    length before the last.
    """
    lengths: list[int] = []
    number = shift = 0
    for character in text:
        bits = ord(character) - 48
        if not 0 <= bits < 64 or shift > 60:
            return None
        number |= (bits & 31) << shift
        shift += 5
        if bits & 32:
            continue
        if bits & 16:
            number -= 1 << shift
        lengths.append(number + (lengths[-2] if len(lengths) > 2 else 0))
        number = shift = 0
    return None if shift else lengths
