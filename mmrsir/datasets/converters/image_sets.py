"""What the files of a classification data set are: found, compared with a split, and decoded."""

import os
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path, PurePosixPath

from rich.console import Console

from ...utils.errors import InvalidValueError
from ...utils.listing import first_ten
from ..loading.decoding import decode_all
from ..splits import Split

IMAGE_SUFFIXES = ('.jpg', '.jpeg', '.png', '.bmp')
_FORMATS = ('JPEG', 'PNG', 'BMP')


@dataclass(frozen=True)
class ImageSet:
    """A data set of which every image has one class."""

    name: str
    class_of: Callable[[PurePosixPath], str | None]
    val_share: Fraction
    needed: str


@dataclass(frozen=True)
class Found:
    images: Mapping[str, Mapping[str, Path]]
    left_out: Sequence[str]


def find_images(image_set: ImageSet, folder: Path) -> Found:
    """Find the images of a data set in any depth below a folder."""
    images: dict[str, dict[str, Path]] = {}
    left_out, twice = [], []
    for parent, folders, names in os.walk(folder, followlinks=True, onerror=_raise):
        folders.sort()
        parent_below = PurePosixPath(Path(parent).relative_to(folder).as_posix())
        for name in names:
            path, below, label = Path(parent, name), parent_below / name, None
            if below.suffix.lower() in IMAGE_SUFFIXES and not name.startswith('.'):
                label = image_set.class_of(below)
            if label is None:
                left_out.append(str(below))
            elif images.setdefault(label, {}).setdefault(name, path) != path:
                twice.append(str(below))
    if not images:
        raise InvalidValueError(f'{folder} holds no image of {image_set.name}. {image_set.needed}')
    if twice:
        raise InvalidValueError(
            f'{folder} holds images twice, under other folders: {first_ten(sorted(twice))}; '
            'name a folder that holds each once'
        )
    return Found(images, sorted(left_out))


def differences(found: Found, split: Split) -> list[str]:
    expected = {label: set(names) for label, names in split.images.items()}
    actual = {label: set(names) for label, names in found.images.items()}
    common = sorted(expected.keys() & actual.keys())

    def images(one: Mapping[str, set[str]], other: Mapping[str, set[str]]) -> list[str]:
        return [f'{k}/{name}' for k in common for name in sorted(one[k] - other[k])]

    kinds = {
        'missing classes': sorted(expected.keys() - actual.keys()),
        'additional classes': sorted(actual.keys() - expected.keys()),
        'missing images': images(expected, actual),
        'additional images': images(actual, expected),
    }
    return [f'{kind} ({len(items)}): {first_ten(items)}' for kind, items in kinds.items() if items]


def decode(paths: Sequence[Path], workers: int, console: Console) -> list[int]:
    return decode_all(paths, lambda path, image: min(image.size), workers, console, _FORMATS)


def _raise(error: OSError) -> None:
    raise error
