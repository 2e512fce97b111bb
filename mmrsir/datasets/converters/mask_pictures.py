"""Objects from pictures of their masks."""

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
from ..loading.decoding import decode_strictly
from .coco_files import SUFFIXES, LabelledImage, encode_mask, loaded_size

VALUES = ('objects', 'files', 'classes')
VOID = 255  # pixels of no class
_SMOOTHED = 40  # so many values, most of them of few pixels, are no objects
_FEW_PIXELS = 20
Values = NDArray[np.int64]
Found = Iterator[tuple[str, NDArray[np.bool_]]]


def read_masks(
    images: str, masks: str, classes: Sequence[str], values: str | None = None
) -> tuple[list[LabelledImage], list[str], Path, list[str]]:
    """Read the objects of pictures."""
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
    if not any(any(of_class.values()) for of_class in found.values()):
        raise FileNotFoundError(
            f'no mask found: the masks of {paths[0]} would be '
            f'{_pattern(paths[0], masks, classes[0])}. Change the pattern of the masks'
        )
    if values is None:
        several = any(len(files) > 1 for of_class in found.values() for files in of_class.values())
        values = 'files' if several else 'objects'
    pictures, problems = [], []
    for path, of_class in found.items():
        if not any(of_class.values()):
            continue
        size = loaded_size(path)
        objects: list[dict[str, Any]] = []
        for name, files in of_class.items():
            for file in files:
                try:
                    pixels = _read(file, size)
                    for label, mask in _TAKE[values](pixels, name, classes):
                        objects.append(dict(encode_mask(mask), name=label))
                except (OSError, ValueError) as error:
                    problems.append(f'{file}: {error}')
        pictures.append(LabelledImage(path, *size, objects))
    if problems:
        shown = '\n  '.join(problems[:10])
        raise InvalidValueError(f'{len(problems)} masks are wrong; the first are:\n  {shown}')
    bare = [path.name for path, of_class in found.items() if not any(of_class.values())]
    said = [f'masks are read as {values}']
    if bare:
        said.append(f'left out, because they have no mask: {len(bare)} pictures: {first_ten(bare)}')
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
        found = sorted(map(Path, glob(images, recursive=True)))
        parts = Path(images).parent.parts
        fixed = next((i for i, part in enumerate(parts) if _is_pattern(part)), len(parts))
        root = Path(*parts[:fixed])
    pictures = [path for path in found if path.suffix.lower() in SUFFIXES and path.is_file()]
    if not pictures:
        raise FileNotFoundError(
            f'{images} matches no picture: name a folder with pictures, or a pattern such as '
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
            Path(path)
            for path in sorted(glob(_pattern(picture, masks, name), recursive=True))
            if Path(path).suffix.lower() in SUFFIXES and Path(path) != picture
        ]
        for name in names
    }


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
        values = colours[..., 0] if grey else colours @ np.array([1, 256, 256**2])
    return values


def _each_value(values: Values, name: str, classes: Sequence[str]) -> Found:
    numbers, counts = np.unique(values, return_counts=True)
    small = (counts < _FEW_PIXELS).mean()
    if len(numbers) > _SMOOTHED and small > 0.5:
        raise InvalidValueError(
            f'{len(numbers)} values, most of them in few pixels, as at smoothed edges. If the file '
            'holds one object, use --values files'
        )
    for number in numbers[numbers != 0]:
        yield name, values == number


def _whole_file(values: Values, name: str, classes: Sequence[str]) -> Found:
    if not values.any():
        raise InvalidValueError('the mask is empty: all of its values are 0')
    yield name, values != 0


def _regions(values: Values, name: str, classes: Sequence[str]) -> Found:
    if len(classes) == 1:
        values = (values != 0).astype(np.int64)
    unknown = sorted(set(np.unique(values).tolist()) - {*range(len(classes) + 1), VOID})
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
