"""COCO files of pictures whose objects are known from elsewhere."""

import argparse
import json
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image
from pycocotools import mask as coco_mask

from ..utils.files import write_whole
from .converters.sources import check_exists
from .loading.decoding import first_ten
from .loading.headers import open_image, orientation
from .splits import split_images

SUFFIXES = frozenset(Image.registered_extensions())
_COUNTED = 100  # detections of an image, in COCO's AP


@dataclass(frozen=True)
class Picture:
    """A picture and its objects.

    Attributes:
        path: The file.
        width: Its width in pixels, as it is loaded.
        height: Its height.
        objects: Fields of COCO annotations without their ids, and ``name``, that of the class.
    """

    path: Path
    width: int
    height: int
    objects: Sequence[dict[str, Any]]


def loaded_size(path: Path) -> tuple[int, int]:
    """Return the width and height of a picture as it is loaded: turned as EXIF data say."""
    data = path.read_bytes()
    image = open_image(data)
    if image is None:
        raise ValueError(f'{path} is not a picture')
    width, height = image.size
    return (height, width) if orientation(data) > 4 else (width, height)


def encode_mask(mask: NDArray[np.bool_]) -> dict[str, Any]:
    """Return a mask's box (x, y, width, height), area and COCO encoding."""
    if not mask.any():
        raise ValueError('the mask is empty')
    runs = coco_mask.encode(np.asfortranarray(mask, np.uint8))
    return dict(
        bbox=coco_mask.toBbox(runs).tolist(),
        area=int(mask.sum()),
        segmentation=dict(size=runs['size'], counts=runs['counts'].decode()),
    )


def parts_of(
    pictures: Sequence[Picture], lists: Sequence[Path], val_share: Fraction
) -> dict[str, list[Picture]]:
    """Split pictures."""
    if not lists:
        if val_share == 0:
            return {'train': list(pictures)}
        names = [picture.path.as_posix() for picture in pictures]
        val = set(split_images('pictures', {'all': names}, val_share).val['all'])
        chosen = [picture.path.as_posix() in val for picture in pictures]
        return {
            'train': [one for one, is_val in zip(pictures, chosen, strict=True) if not is_val],
            'val': [one for one, is_val in zip(pictures, chosen, strict=True) if is_val],
        }
    known = {key: one for one in pictures for key in (one.path.stem, one.path.name)}
    parts = {}
    for path in lists:
        check_exists(path)
        lines = [line.strip() for line in path.read_text(encoding='utf-8-sig').splitlines()]
        # A list of VOC may have a number behind the name.
        found = {line: known.get(line) or known.get(line.split()[0]) for line in lines if line}
        missing = [line for line, picture in found.items() if picture is None]
        if missing:
            raise ValueError(
                f'{path} names {len(missing)} pictures that are not there: {first_ten(missing)}'
            )
        parts[path.stem] = [picture for picture in found.values() if picture is not None]
    return parts


def write_coco(
    parts: Mapping[str, Sequence[Picture]], classes: Sequence[str], root: Path, out_dir: Path
) -> None:
    """Write a COCO file of each part, ``<out_dir>/<part>.json``.

    Ids of images, annotations and categories count from 1.

    Args:
        parts: The pictures of each part.
        classes: Names of the classes, in the order of their labels.
        root: Folder below which the pictures are.
        out_dir: Folder to write to.
    """
    numbers = {name: number for number, name in enumerate(classes, start=1)}
    files = {}
    for part, pictures in parts.items():
        images: list[dict[str, Any]] = []
        annotations: list[dict[str, Any]] = []
        for number, picture in enumerate(pictures, start=1):
            name = picture.path.relative_to(root).as_posix()
            size = dict(width=picture.width, height=picture.height)
            images.append(dict(id=number, file_name=name, **size))
            for one in picture.objects:
                fields = {key: value for key, value in one.items() if key != 'name'}
                ids = dict(id=len(annotations) + 1, image_id=number)
                ids['category_id'] = numbers[one['name']]
                annotations.append({**ids, 'iscrowd': 0, **fields})
        categories = [dict(id=number, name=name) for name, number in numbers.items()]
        content = dict(images=images, annotations=annotations, categories=categories)
        files[out_dir / f'{part}.json'] = json.dumps(content, ensure_ascii=False)
    write_whole(files)


def summary(
    parts: Mapping[str, Sequence[Picture]], classes: Sequence[str], root: Path, out_dir: Path
) -> str:
    """Say what was written, and what to write into a config."""
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


def argument_parser(description: str | None) -> argparse.ArgumentParser:
    """Return a parser with the arguments of both converters."""
    parser = argparse.ArgumentParser(
        description=description, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument('--out-dir', type=Path, required=True, help='folder for the JSON files')
    parser.add_argument(
        '--lists',
        nargs='+',
        type=Path,
        default=[],
        metavar='FILE',
        help='files with names of pictures, one a line; each makes a JSON file of its own name',
    )
    parser.add_argument(
        '--val-share',
        type=Fraction,
        default=Fraction(1, 5),
        metavar='SHARE',
        help='without lists: share of the pictures for val.json, 0 for none (default: %(default)s)',
    )
    return parser


def convert(
    read: Callable[[], tuple[list[Picture], list[str], Path, list[str]]],
    args: argparse.Namespace,
    prog: str,
) -> None:
    """Read pictures, write the COCO files, and say what was done."""
    try:
        pictures, classes, root, said = read()
        parts = parts_of(pictures, args.lists, args.val_share)
        write_coco(parts, classes, root, args.out_dir)
    except (OSError, ValueError) as error:
        raise SystemExit(f'{prog}: error: {error}') from None
    print('\n'.join([*said, summary(parts, classes, root, args.out_dir)]))
