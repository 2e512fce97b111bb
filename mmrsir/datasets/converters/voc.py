"""Boxes from the XML files of Pascal VOC, which labelImg, CVAT and others write too."""

import math
import re
from collections import Counter, defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

from ...utils.errors import InvalidValueError
from ...utils.listing import first_ten
from ...utils.missing import alike
from ...utils.suggestions import did_you_mean
from ..loading.image_files import walk
from .coco_files import LabelledImage, check_classes, check_problems, is_picture, loaded_size
from .sources import check_exists

_CORNERS = ('xmin', 'ymin', 'xmax', 'ymax')
_DIFFICULT = {'': 0, '0': 0, 'false': 0, 'unspecified': 0, '1': 1, 'true': 1}
_TOLERANCE = 1.0  # how far a box may reach out of its picture, in pixels


def read_voc(
    annotations: Path,
    images: Path,
    classes: Sequence[str] | None = None,
    first_pixel: int | None = None,
    any_size: bool = False,
) -> tuple[list[LabelledImage], list[str], Path, list[str]]:
    """Read the boxes of pictures.

    An XML file belongs to the picture with its name; where there is none, to the one that it names.
    Objects that are ``difficult`` become crowds.
    """
    check_exists(annotations)
    check_exists(images)
    if classes is not None:
        check_classes(classes)
    files = [annotations / name for name in walk(annotations) if name.lower().endswith('.xml')]
    if not files:
        raise InvalidValueError(
            f'{annotations} holds no XML file: name the folder with the annotations'
        )
    there = [path for name in walk(images) if is_picture(path := images / name)]
    if not there:
        raise InvalidValueError(f'{images} holds no picture: name the folder with the pictures')
    of_stem, of_alike = defaultdict(list), defaultdict(list)
    for path in there:
        of_stem[path.stem].append(path)
        of_alike[alike(path.stem)].append(path)
    problems: list[str] = []
    files_of: dict[Path, Path] = {}
    read: list[LabelledImage] = []
    for file in files:
        try:
            root = _parse(file)
            picture = _picture_of(file, root, of_stem, of_alike)
            if picture in files_of:
                raise InvalidValueError(f'{files_of[picture]} is of {picture} too: remove one')
            files_of[picture] = file
            size = loaded_size(picture)
            if not any_size:
                _check_size(root, picture, size)
            read.append(LabelledImage(picture, *size, list(_objects(root))))
        except (ElementTree.ParseError, OSError, ValueError) as error:
            problems.append(f'{file}: {error}')
    objects = [one for image in read for one in image.objects]
    if objects and max(max(one['corners']) for one in objects) <= 1:
        raise InvalidValueError(
            f'all corners of the boxes in {annotations} are from 0 to 1, as parts of the picture: '
            'VOC counts pixels. Multiply them by the width and height'
        )
    if first_pixel is None:
        first_pixel = int(all(min(one['corners']) > 0 for one in objects))
    for image in read:
        for one in image.objects:
            try:
                one['bbox'] = _box(one.pop('corners'), image, first_pixel)
                one['area'] = one['bbox'][2] * one['bbox'][3]
            except ValueError as error:
                problems.append(f'{image.path}: {one["name"]}: {error}')
    check_problems('annotations', problems)
    names = sorted({one['name'] for one in objects}) if classes is None else list(classes)
    counts = Counter(one['name'] for one in objects)
    others = {name: number for name, number in counts.items() if name not in names}
    absent = [name for name in names if not counts[name]]
    if objects and len(absent) == len(names):
        raise InvalidValueError(
            f'no object is of the classes {first_ten(names)}; there are {first_ten(sorted(counts))}'
        )
    pictures = [
        replace(image, objects=[one for one in image.objects if one['name'] in names])
        for image in read
    ]
    bare = sorted(path.name for path in there if path not in files_of)
    said = [f'the first pixel of a picture counts as {first_pixel}']
    if others:
        said.append('left out, as of other classes: ' + first_ten([*map(str, others.items())]))
    if absent:
        hint = did_you_mean(absent[0], others)
        said.append(f'no object is of the classes {first_ten(absent)}{hint}')
    if bare:
        said.append(f'left out, as without an XML file: {len(bare)} pictures: {first_ten(bare)}')
    return pictures, names, images, said


def _parse(file: Path) -> ElementTree.Element:
    """Return the root of an XML file of VOC, without name spaces."""
    data = file.read_bytes()
    try:
        root = ElementTree.fromstring(data)
    except (ElementTree.ParseError, LookupError, ValueError) as error:
        declared = re.match(rb'<\?xml[^>]*encoding=["\']([\w-]+)', data)
        try:  # the parser does not know encodings of several bytes, as gb2312
            text = data.decode(declared[1].decode() if declared else 'utf-8')
            root = ElementTree.fromstring(re.sub(r'^<\?xml.*?\?>', '', text, flags=re.DOTALL))
        except (LookupError, UnicodeDecodeError):
            raise InvalidValueError(
                f'{error}; the encoding of the file is not the one that it declares '
                '(UTF-8 if it declares none): save it as UTF-8'
            ) from error
    for element in root.iter():
        element.tag = element.tag.rpartition('}')[2]
    if root.tag != 'annotation':
        raise InvalidValueError(
            f'its root is <{root.tag}>, but VOC writes <annotation>: export the data set as VOC'
        )
    return root


def _picture_of(
    file: Path,
    root: ElementTree.Element,
    of_stem: dict[str, list[Path]],
    of_alike: dict[str, list[Path]],
) -> Path:
    named = (root.findtext('filename') or '').strip().replace('\\', '/').rpartition('/')[2]
    stems = (file.stem, Path(named).stem)
    found = next((of_stem[one] for one in stems if one in of_stem), None)
    if found is None:  # case, NFC or NFD, %20
        found = next((of_alike[alike(one)] for one in stems if alike(one) in of_alike), [])
    exact = [path for path in found if path.name == named]
    if len(exact) == 1:
        return exact[0]
    if len(found) != 1:
        number = len(found) or 'no'
        raise InvalidValueError(
            f'{number} pictures are called {file.stem!r} (as the file) or {named!r}'
        )
    return found[0]


def _check_size(root: ElementTree.Element, picture: Path, size: tuple[int, int]) -> None:
    annotated = tuple(_number(root, f'size/{side}', 0) for side in ('width', 'height'))
    if all(annotated) and annotated != size:
        turned = '; turned by EXIF data' if annotated[::-1] == size else ''
        raise InvalidValueError(
            f'the file gives {annotated[0]:g} x {annotated[1]:g} pixels, but {picture} has '
            f'{size[0]} x {size[1]}{turned}. If the boxes are right, add --any-size'
        )


def _objects(root: ElementTree.Element) -> Iterator[dict[str, Any]]:
    for position, element in enumerate(root.iterfind('object'), start=1):
        name = (element.findtext('name') or '').strip()
        if not name:
            raise InvalidValueError(f'object {position} has no name')
        if element.find('bndbox') is None:
            held = ', '.join(part.tag for part in element)
            raise InvalidValueError(
                f'object {position} has no bndbox, but {held}: only boxes are read'
            )
        corners = [_number(element, f'bndbox/{corner}') for corner in _CORNERS]
        if corners[2] < corners[0] or corners[3] < corners[1]:
            raise InvalidValueError(f'object {position}: the box {corners} ends before it begins')
        difficult = (element.findtext('difficult') or '').strip().lower()
        crowd = _DIFFICULT.get(difficult)
        if crowd is None:
            raise InvalidValueError(f'difficult={difficult!r} must be 0 or 1')
        yield dict(name=name, corners=corners, iscrowd=crowd)


def _number(element: ElementTree.Element, path: str, default: float | None = None) -> float:
    text = (element.findtext(path) or '').strip()
    if not text and default is not None:
        return default
    try:
        number = float(text)
    except ValueError:
        number = math.nan
    if not math.isfinite(number):
        raise InvalidValueError(f'{path}={text!r} must be a number')
    return number


def _box(corners: Sequence[float], image: LabelledImage, first_pixel: int) -> list[float]:
    """Return x, y, width, height from 0; what is just outside of the picture is cut off."""
    left, top = corners[0] - first_pixel, corners[1] - first_pixel
    right, bottom = corners[2], corners[3]
    width, height = image.width, image.height
    if min(left, top) < -_TOLERANCE or right > width + _TOLERANCE or bottom > height + _TOLERANCE:
        raise InvalidValueError(f'the box {list(corners)} reaches out of {width} x {height} pixels')
    left, top, right, bottom = max(left, 0), max(top, 0), min(right, width), min(bottom, height)
    if right <= left or bottom <= top:
        raise InvalidValueError(f'the box {list(corners)} has no area')
    return [left, top, right - left, bottom - top]
