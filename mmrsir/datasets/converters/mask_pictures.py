"""Objects from pictures of their masks."""

import re
from collections import Counter, defaultdict
from collections.abc import Callable, Iterator, Sequence
from glob import escape, glob
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from ...utils.arguments import check_choice
from ...utils.errors import InvalidValueError
from ...utils.listing import first_ten
from ...utils.missing import alike, nearest
from ..loading.decoding import decode_strictly
from ..loading.headers import num_frames
from ..loading.image_files import image_suffixes, without_links_to_the_same
from .coco_files import (
    LabelledImage,
    check_classes,
    check_problems,
    encode_mask,
    is_picture,
    loaded_size,
)

VALUES = ('objects', 'files', 'classes')
VOID = 255  # pixels of no class
_SMOOTHED = 40  # so many values, most of them of few pixels, are no objects
_COLOUR = 256**3  # is added to the number of a colour, which is then no number of a class
_FEW_PIXELS = 20
Values = NDArray[np.int64]
Found = Iterator[tuple[str, NDArray[np.bool_]]]


def read_masks(
    images: str, masks: str, classes: Sequence[str], values: str | None = None
) -> tuple[list[LabelledImage], list[str], Path, list[str]]:
    check_classes(classes)
    if values is not None:
        check_choice('values', values, VALUES)
    if values == 'classes' and '{class}' in masks:
        raise InvalidValueError("values='classes' excludes {class} in the paths of masks: drop one")
    if values != 'classes' and '{class}' not in masks and len(classes) != 1:
        raise InvalidValueError(
            f'the masks cannot tell {len(classes)} classes apart: put {{class}} into their paths, '
            "or use values='classes'"
        )
    paths, root = _find_pictures(images)
    found = {path: _masks_of(path, masks, classes) for path in paths}
    said = _give_to_longest_name(found)
    bare = [path for path, of_class in found.items() if not any(of_class.values())]
    if len(bare) == len(found):
        raise FileNotFoundError(
            f'no mask found: the masks of {paths[0]} would be '
            f'{_pattern(paths[0], masks, classes[0])}{_near(paths[0], masks, classes[0])}. '
            'Change the pattern of the masks'
        )
    for path in bare:
        del found[path]
    if values is None:
        several = any(len(files) > 1 for of_class in found.values() for files in of_class.values())
        values = 'files' if several else 'objects'
    pictures, problems = [], []
    void, full = 0, []
    for path, of_class in found.items():
        size = loaded_size(path)
        objects: list[dict[str, Any]] = []
        for name, files in of_class.items():
            for file in files:
                try:
                    pixels = _read(file, size)
                    if values == 'objects':
                        void += _has_void(pixels)
                        full += [file.name] if pixels.all() else []
                    for label, mask in _TAKE[values](pixels, name, classes):
                        objects.append(dict(encode_mask(mask), name=label))
                except (OSError, ValueError) as error:
                    problems.append(f'{file}: {error}')
        pictures.append(LabelledImage(path, *size, objects))
    check_problems('masks', problems)
    counts = Counter(one['name'] for picture in pictures for one in picture.objects)
    if not counts:
        raise InvalidValueError(
            'no mask holds an object: all pixels are background (0) or of no class '
            f'({VOID} with values={values!r})'
        )
    said.insert(0, f'masks are read as {values}')
    absent = [name for name in classes if not counts[name]]
    if absent:
        near = _near(paths[0], masks, absent[0]) if '{class}' in masks else ''
        said.append(f'no object is of the classes {first_ten(absent)}{near}')
    if void:
        said.append(f'{VOID} is the border of objects, and no object, in {void} masks')
    if full:
        said.append(
            f'{len(full)} masks have no background, which is 0 or black: {first_ten(full)}. If '
            'another value is the background, its object covers the picture: change it to 0'
        )
    if bare:
        names = first_ten([path.name for path in bare])
        near = _near(bare[0], masks, classes[0])
        said.append(f'left out, because they have no mask: {len(bare)} pictures: {names}{near}')
    if values == 'objects' and all(len(one.objects) <= 1 for one in pictures):
        said.append(
            'no picture has more than one object: if masks have several regions of one value, '
            'each of which is an object, use --values classes'
        )
    return pictures, list(classes), root, said


def _find_pictures(images: str) -> tuple[list[Path], Path]:
    """Return the pictures, and the folder below which they are."""
    root = Path(images)
    if root.is_dir():
        found = sorted(root.iterdir())
    else:
        found = without_links_to_the_same(map(Path, glob(images, recursive=True)))
        parts = Path(images).parent.parts
        fixed = next((i for i, part in enumerate(parts) if _is_pattern(part)), len(parts))
        root = Path(*parts[:fixed])
    pictures = [path for path in found if is_picture(path) and path.is_file()]
    if not pictures:
        hint = nearest(images) if not root.exists() else ''
        raise FileNotFoundError(
            f'{images} matches no picture{hint}: name a folder with pictures, or a pattern such as '
            '"images/*.png"'
        )
    return pictures, root


def _is_pattern(text: str) -> bool:
    return any(character in text for character in '*?[')


def _pattern(picture: Path, masks: str, name: str) -> str:
    if '{stem}' not in masks:
        masks = str(Path(masks, '{stem}.*'))
    return masks.replace('{stem}', escape(picture.stem)).replace('{class}', escape(name))


def _masks_of(picture: Path, masks: str, classes: Sequence[str]) -> dict[str, list[Path]]:
    """Return the masks of a picture by class; without a class in their paths, by the first."""
    names = classes if '{class}' in masks else classes[:1]
    return {
        name: [
            path
            for path in without_links_to_the_same(
                map(Path, glob(_pattern(picture, masks, name), recursive=True))
            )
            if path.suffix.lower() in image_suffixes() and path != picture
        ]
        for name in names
    }


def _near(picture: Path, masks: str, name: str) -> str:
    """Return the end of a message: the path of a mask that is written in another way."""
    path = Path(masks if '{stem}' in masks else Path(masks, '{stem}.*'))
    folder = Path(str(path.parent).replace('{stem}', picture.stem).replace('{class}', name))
    if _is_pattern(str(folder)):
        return ''
    if not folder.is_dir():
        return nearest(folder)
    wanted = re.escape(alike(path.name)).replace(r'\{stem\}', re.escape(alike(picture.stem)))
    wanted = wanted.replace(r'\{class\}', re.escape(alike(name))).replace(r'\*', '.*')
    found = [
        one
        for one in sorted(folder.iterdir())
        if one.suffix.lower() in image_suffixes() and re.fullmatch(wanted, alike(one.name))
    ]
    if not found:
        return ''
    return (
        f'; did you mean {found[0]}? (its name is written in another way: capital letters, blanks, '
        '%20, NFC or NFD)'
    )


def _give_to_longest_name(found: dict[Path, dict[str, list[Path]]]) -> list[str]:
    """Leave a mask of several pictures to the longest name: a_1_0.png is of a_1, not of a."""
    owners: dict[Path, list[Path]] = defaultdict(list)
    for picture, of_class in found.items():
        for file in {file for files in of_class.values() for file in files}:
            owners[file].append(picture)
    shared = {file: pictures for file, pictures in owners.items() if len(pictures) > 1}
    for file, pictures in shared.items():
        pictures.sort(key=lambda path: len(path.stem))
        if len(pictures[-1].stem) == len(pictures[-2].stem):
            raise InvalidValueError(
                f'the mask {file} belongs to {pictures[-2]} and to {pictures[-1]}: change the '
                'pattern of the masks, or rename one of the pictures'
            )
        for picture in pictures[:-1]:
            for files in found[picture].values():
                if file in files:
                    files.remove(file)
    if not shared:
        return []
    return [f'{len(shared)} masks match several pictures, and are taken for the longest name']


def _read(file: Path, size: tuple[int, int]) -> Values:
    """Return the values of a mask, (H, W); of a coloured one a number for each colour."""
    image = decode_strictly(file.read_bytes())
    if image.format == 'JPEG':
        raise InvalidValueError(
            'JPEG changes values: masks must be PNG or another format without loss'
        )
    if image.size != size:
        raise InvalidValueError(
            f'{image.size[0]} x {image.size[1]} pixels; its picture is loaded with '
            f'{size[0]} x {size[1]}'
        )
    if num_frames(image) > 1:
        raise InvalidValueError(
            f'it holds {num_frames(image)} pages, of which one would be read: save each as a file'
        )
    if image.mode in ('LA', 'PA', 'RGBA'):
        planes = np.asarray(image)
        of_colours, of_alpha = np.unique(planes[..., :-1]), np.unique(planes[..., -1])
        if len(of_colours) == 1 and len(of_alpha) > 1:
            raise InvalidValueError(
                'its shape is in the transparency (alpha), which is not read: save it without'
            )
    if image.mode in ('LA', 'PA'):
        image = image.getchannel(0)
    if image.mode == 'F':
        raise InvalidValueError(
            'its values are floats; they must be whole numbers: save it with 8 or 16 bits'
        )
    values = np.asarray(image if image.mode != 'CMYK' else image.convert('RGB')).astype(np.int64)
    if values.ndim == 3:
        colours = values[..., :3]
        grey = (colours == colours[..., :1]).all()
        numbers = colours @ np.array([1, 256, 256**2])
        values = colours[..., 0] if grey else np.where(numbers == 0, 0, numbers + _COLOUR)
    return values


def _has_void(values: Values) -> bool:
    """Whether 255 is no object, as in VOC: behind objects that are numbered from 1."""
    numbers = np.unique(values)
    numbers = numbers[numbers != 0]
    return 1 < len(numbers) < VOID and numbers[-1] == VOID and numbers[-2] == len(numbers) - 1


def _each_value(values: Values, name: str, classes: Sequence[str]) -> Found:
    numbers, counts = np.unique(values, return_counts=True)
    small = (counts < _FEW_PIXELS).mean()
    if len(numbers) > _SMOOTHED and small > 0.5:
        raise InvalidValueError(
            f'{len(numbers)} values, most of them in few pixels, as at smoothed edges. If the file '
            'holds one object, use --values files'
        )
    for number in numbers[(numbers != 0) & ~(_has_void(values) & (numbers == VOID))]:
        yield name, values == number


def _whole_file(values: Values, name: str, classes: Sequence[str]) -> Found:
    if not values.any():
        raise InvalidValueError('the mask is empty: all of its values are 0')
    yield name, values != 0


def _regions(values: Values, name: str, classes: Sequence[str]) -> Found:
    if len(classes) == 1:
        values = (values != 0).astype(np.int64)
    unknown = sorted(set(np.unique(values).tolist()) - {*range(len(classes) + 1), VOID})
    if any(number > _COLOUR for number in unknown):
        raise InvalidValueError(
            'it is in colours, which do not say their class: save it as numbers of the classes '
            f'(0 for the background, 1 to {len(classes)}), with a palette if you want colours'
        )
    if unknown:
        raise InvalidValueError(
            f'no class has the values {first_ten([*map(str, unknown)])}; allowed: 0 for the '
            f'background, 1 to {len(classes)}, and {VOID} for no class'
        )
    for number, label in enumerate(classes, start=1):
        count, regions = cv2.connectedComponents((values == number).astype(np.uint8))
        for region in range(1, count):
            yield label, regions == region


_TAKE: dict[str, Callable[[Values, str, Sequence[str]], Found]] = dict(
    zip(VALUES, (_each_value, _whole_file, _regions), strict=True)
)
