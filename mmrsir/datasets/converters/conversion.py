"""From a data set as it is distributed to the lists that mmpretrain's ``CustomDataset`` reads.

    <out_dir>/
        meta/train.txt, meta/val.txt   the ann_files: "<image> <label>" a line; written last
        images/                        what an archive was extracted to; absent for a folder

The images of a folder stay where they are: the lists give their paths from ``out_dir`` where they
lie below it, and from the root of the file system otherwise. Labels count the classes in the order
of their names. Where the lists are there already, the images are not decoded again.
"""

import os
from pathlib import Path
from statistics import median

from ...utils.arguments import check_int
from ...utils.errors import InvalidValueError
from ...utils.files import write_whole
from ...utils.listing import first_ten
from ..splits import Split, read_manifest, split_images, write_manifest
from .image_sets import Found, ImageSet, decode, differences, find_images
from .sources import kept_folder, new_console


def convert(
    image_set: ImageSet,
    source: str | Path,
    out_dir: str | Path,
    manifest: str | Path,
    workers: int = 1,
    verbose: bool = False,
) -> Split:
    """Check a copy of a data set and list its images for training and validation."""
    check_int('workers', workers, 1)
    source, out_dir, manifest = Path(source), Path(out_dir), Path(manifest)
    console = new_console(verbose)
    known = read_manifest(manifest) if manifest.exists() else None
    if known is not None and known.dataset != image_set.name:
        raise InvalidValueError(
            f'{manifest} is a manifest of {known.dataset}, not of {image_set.name}'
        )

    folder = kept_folder(source, out_dir / 'images', image_set.needed, console)
    found = find_images(image_set, folder)
    if found.left_out:
        console.print(f'files left out ({len(found.left_out)}): {first_ten(found.left_out)}')
    split = known or split_images(image_set.name, found.images, image_set.val_share)
    problems = differences(found, split)
    if problems:
        raise InvalidValueError(
            f'{folder} differs from the copy of {image_set.name} in {manifest}:\n  '
            + '\n  '.join(problems)
            + '\nTo split this copy by the same rule, name a new file for its manifest: '
            '--manifest FILE (manifest=…).'
        )

    lists = _lists(found, split, out_dir)
    if known and all(path.is_file() and path.read_text('utf-8') == lists[path] for path in lists):
        console.print(f'{out_dir} holds these lists already; nothing to do')
        return split
    paths = sorted(path for images in found.images.values() for path in images.values())
    sides = decode(paths, workers, console)
    if known is None:
        write_manifest(manifest, split)
        console.print(f'made {manifest}')
    write_whole(lists)
    console.print(
        f'{split.num_images - split.num_val} images for training and {split.num_val} for '
        f'validation, {len(split.classes)} classes: {", ".join(map(str, lists))}\n'
        f'median of their shorter sides: {median(sides):g} pixels'
    )
    return split


def _lists(found: Found, split: Split, out_dir: Path) -> dict[Path, str]:
    lines: dict[str, list[str]] = {'train': [], 'val': []}
    for number, label in enumerate(split.classes):
        val = set(split.val[label])
        for name in split.images[label]:
            path = listed_path(found.images[label][name], out_dir)
            lines['val' if name in val else 'train'].append(f'{path} {number}\n')
    return {out_dir / f'meta/{part}.txt': ''.join(text) for part, text in lines.items()}


def listed_path(path: Path, out_dir: Path) -> str:
    """Return an image's path as a list in a folder has it: from the folder, or absolute."""
    root = os.path.join(os.path.abspath(out_dir), '')
    return os.path.abspath(path).removeprefix(root)
