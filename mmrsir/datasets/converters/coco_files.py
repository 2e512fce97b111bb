"""COCO files of images whose objects are known from elsewhere."""

import json
from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from pycocotools import mask as coco_mask

from ...utils.errors import InvalidValueError
from ...utils.listing import first_ten
from ...utils.missing import alike
from ...utils.suggestions import did_you_mean
from ..loading.headers import open_image, orientation
from ..loading.image_files import image_suffixes
from ..splits import split_images
from .sources import check_exists

_COUNTED = 100  # detections of an image, in COCO's AP


@dataclass(frozen=True)
class LabelledImage:
    path: Path
    width: int  # in pixels, as it is loaded
    height: int
    objects: Sequence[dict[str, Any]]  # COCO annotations without ids, and the name of the class


def is_picture(path: Path) -> bool:
    return path.suffix.lower() in image_suffixes() and not path.name.startswith('.')


def check_problems(what: str, problems: Sequence[str]) -> None:
    """Raise InvalidValueError with the first problems, if there are some."""
    if problems:
        shown = ''.join(f'\n  {one}' for one in problems[:10])
        raise InvalidValueError(f'{len(problems)} {what} are wrong; the first are:{shown}')


def check_classes(classes: Sequence[str]) -> None:
    """Raise InvalidValueError for a name that is empty, or that two classes have."""
    if '' in classes or len(set(classes)) < len(classes):
        raise InvalidValueError(f'classes={list(classes)} must be different names, none empty')


def loaded_size(path: Path) -> tuple[int, int]:
    """Return the width and height of a picture as it is loaded: turned as EXIF data say."""
    data = path.read_bytes()
    image = open_image(data)
    if image is None:
        raise InvalidValueError(f'{path} is not a picture')
    width, height = image.size
    return (height, width) if orientation(data) > 4 else (width, height)


def encode_mask(mask: NDArray[np.bool_]) -> dict[str, Any]:
    """Return a mask's box (x, y, width, height), area and COCO encoding."""
    if not mask.any():
        raise InvalidValueError('the mask is empty')
    runs = coco_mask.encode(np.asfortranarray(mask, np.uint8))
    return dict(
        bbox=coco_mask.toBbox(runs).tolist(),
        area=int(mask.sum()),
        segmentation=dict(size=runs['size'], counts=runs['counts'].decode()),
    )


def parts_of(
    images: Sequence[LabelledImage], lists: Sequence[Path], val_share: Fraction
) -> dict[str, list[LabelledImage]]:
    """Split images by lists of names, each a part that is called as its file, or by a share."""
    if not lists:
        if val_share == 0:
            return {'train': list(images)}
        names = [image.path.as_posix() for image in images]
        val = set(split_images('pictures', {'all': names}, val_share).val['all'])
        return {
            'train': [image for image in images if image.path.as_posix() not in val],
            'val': [image for image in images if image.path.as_posix() in val],
        }
    known: dict[str, set[Path]] = defaultdict(set)
    for image in images:
        for key in (image.path.stem, image.path.name):
            known[key].add(image.path)
    of_path = {image.path: image for image in images}
    parts: dict[str, list[LabelledImage]] = {}
    for path in lists:
        check_exists(path)
        lines = [line.strip() for line in path.read_text(encoding='utf-8-sig').splitlines()]
        # A list of VOC may have a number behind the name.
        found = {line: known.get(line) or known.get(line.split()[0]) for line in lines if line}
        missing = [line for line, paths in found.items() if not paths]
        if missing:
            same = [name for name in known if alike(name) == alike(missing[0])]
            hint = did_you_mean(missing[0], same or known, cutoff=0 if same else 0.6)
            raise InvalidValueError(
                f'{path} names {len(missing)} pictures that are not there: {first_ten(missing)}'
                f'{hint}'
            )
        several = [line for line, paths in found.items() if paths and len(paths) > 1]
        if several:
            raise InvalidValueError(
                f'{path} names what several pictures are called: {first_ten(several)}. Add the '
                'suffix, or give pictures of different folders different names'
            )
        if not found:
            raise InvalidValueError(f'{path} names no picture: write one name a line')
        if path.stem in parts:
            raise InvalidValueError(
                f'two lists are called {path.stem}: both would be written to {path.stem}.json. '
                'Rename one'
            )
        parts[path.stem] = [of_path[one] for paths in found.values() for one in paths or ()]
    return parts


def coco_json(labelled: Sequence[LabelledImage], classes: Sequence[str], root: Path) -> str:
    """Return the content of a COCO file; all ids count from 1."""
    numbers = {name: number for number, name in enumerate(classes, start=1)}
    images: list[dict[str, Any]] = []
    annotations: list[dict[str, Any]] = []
    for number, image in enumerate(labelled, start=1):
        name = image.path.relative_to(root).as_posix()
        images.append(dict(id=number, file_name=name, width=image.width, height=image.height))
        for one in image.objects:
            fields = {'iscrowd': 0, **one, 'image_id': number, 'id': len(annotations) + 1}
            annotations.append({**fields, 'category_id': numbers[fields.pop('name')]})
    categories = [dict(id=number, name=name) for name, number in numbers.items()]
    content = dict(images=images, annotations=annotations, categories=categories)
    return json.dumps(content, ensure_ascii=False)


def summary(
    parts: Mapping[str, Sequence[LabelledImage]], classes: Sequence[str], root: Path, out_dir: Path
) -> str:
    lines = []
    for part, pictures in parts.items():
        counts = Counter(one['name'] for picture in pictures for one in picture.objects)
        most = max((len(picture.objects) for picture in pictures), default=0)
        empty = sum(not picture.objects for picture in pictures)
        named = ', '.join(f'{name} {counts[name]}' for name in classes)
        lines.append(
            f'{out_dir / part}.json: {len(pictures)} pictures ({empty} without objects), '
            f'{sum(counts.values())} objects, up to {most} a picture: {named}'
        )
        if most > _COUNTED:
            lines.append(f'  more than {_COUNTED} objects: see "Many objects" of the tutorial')
    lines += [
        'For your config:',
        f'  metainfo = dict(classes={tuple(classes)!r})',
        f'  num_classes={len(classes)} in the heads, data_prefix=dict(img={str(root)!r})',
    ]
    return '\n'.join(lines)
