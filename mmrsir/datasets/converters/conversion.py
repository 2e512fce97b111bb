"""From a data set as it is distributed to the lists that mmpretrain's ``CustomDataset`` reads.

    <out_dir>/
        meta/train.txt, meta/val.txt   the ann_files: "<image> <label>" a line; written last
        images/                        what an archive was extracted to; absent for a folder

The images of a folder stay where they are: the lists give their paths from ``out_dir`` where they
lie below it, and from the root of the file system otherwise. Labels count the classes in the order
of their names. Where the lists are there already, the images are not decoded again.
"""

import os
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path, PurePosixPath
from statistics import median

from ...utils.errors import InvalidValueError
from ...utils.files import write_whole
from ...utils.listing import first_ten
from ..loading.decoding import decode_all
from ..loading.image_files import walk
from ..splits import Split, read_manifest, split_images, write_manifest
from .sources import check_same, kept_folder

IMAGE_SUFFIXES = ('.jpg', '.jpeg', '.png', '.bmp')
_FORMATS = ('JPEG', 'PNG', 'BMP')
Images = Mapping[str, Mapping[str, Path]]  # by class and name


@dataclass(frozen=True)
class ImageSet:
    """A data set of which every image has one class."""

    name: str
    class_of: Callable[[PurePosixPath], str | None]
    val_share: Fraction
    needed: str


def convert(
    image_set: ImageSet,
    source: Path,
    out_dir: Path,
    manifest: Path,
    workers: int = 1,
) -> Split:
    """Check a copy of a data set and list its images for training and validation."""
    known = read_manifest(manifest) if manifest.exists() else None
    if known is not None and known.dataset != image_set.name:
        raise InvalidValueError(
            f'{manifest} is a manifest of {known.dataset}, not of {image_set.name}'
        )

    folder = kept_folder(source, out_dir / 'images', image_set.needed)
    images, left_out = _find_images(image_set, folder)
    if left_out:
        print(f'files left out ({len(left_out)}): {first_ten(left_out)}')
    split = known or split_images(image_set.name, images, image_set.val_share)
    listed = {f'{name}/{one}' for name in split.images for one in split.images[name]}
    found = {f'{name}/{one}' for name in images for one in images[name]}
    common = tuple(f'{name}/' for name in split.images.keys() & images.keys())
    check_same(
        f'{folder} differs from the copy of {image_set.name} in {manifest}',
        {
            'missing classes': split.images.keys() - images.keys(),
            'additional classes': images.keys() - split.images.keys(),
            'missing images': [one for one in listed - found if one.startswith(common)],
            'additional images': [one for one in found - listed if one.startswith(common)],
        },
        'To split this copy by the same rule, name a new file for its manifest: --manifest FILE '
        '(manifest=…).',
    )

    labels: dict[str, dict[Path, int]] = {'train': {}, 'val': {}}
    for label, name in enumerate(split.classes):
        val = set(split.val[name])
        for file, path in sorted(images[name].items()):
            labels['val' if file in val else 'train'][path] = label
    lists = {
        out_dir / f'meta/{part}.txt': list_images(label_of, out_dir)
        for part, label_of in labels.items()
    }
    if known and all(path.is_file() and path.read_text('utf-8') == lists[path] for path in lists):
        print(f'{out_dir} holds these lists already; nothing to do')
        return split
    paths = sorted(path for files in images.values() for path in files.values())
    sides = decode_all(paths, lambda path, image: min(image.size), workers, _FORMATS)
    if known is None:
        write_manifest(manifest, split)
        print(f'made {manifest}')
    write_whole(lists)
    print(
        f'{split.num_images - split.num_val} images for training and {split.num_val} for '
        f'validation, {len(split.classes)} classes: {", ".join(map(str, lists))}\n'
        f'median of their shorter sides: {median(sides.values()):g} pixels'
    )
    return split


def list_images(label_of: Mapping[Path, int], out_dir: Path) -> str:
    """Return the content of a list in a folder; paths go from the folder, or are absolute."""
    root = os.path.join(os.path.abspath(out_dir), '')
    return ''.join(
        f'{os.path.abspath(path).removeprefix(root)} {label}\n' for path, label in label_of.items()
    )


def _find_images(image_set: ImageSet, folder: Path) -> tuple[Images, list[str]]:
    """Return the images of a data set in any depth below a folder, and what is left out."""
    images: dict[str, dict[str, Path]] = {}
    left_out, twice = [], []
    for name in walk(folder, onerror=_raise):
        path, below, label = folder / name, PurePosixPath(name), None
        if below.suffix.lower() in IMAGE_SUFFIXES:
            label = image_set.class_of(below)
        if label is None:
            left_out.append(name)
        elif images.setdefault(label, {}).setdefault(below.name, path) != path:
            twice.append(name)
    if not images:
        raise InvalidValueError(f'{folder} holds no image of {image_set.name}. {image_set.needed}')
    if twice:
        raise InvalidValueError(
            f'{folder} holds images twice, under other folders: {first_ten(sorted(twice))}; '
            'name a folder that holds each once'
        )
    return images, sorted(left_out)


def _raise(error: OSError) -> None:
    raise error
