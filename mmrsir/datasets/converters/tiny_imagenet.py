"""Tiny-ImageNet-200: 200 classes of ImageNet, 64 x 64 pixels, 500 + 50 images a class.

It was made for Stanford's course CS231n, and is distributed as `tiny-imagenet-200.zip
<http://cs231n.stanford.edu/tiny-imagenet-200.zip>`_; `a copy as plain files
<https://github.com/seshuad/IMagenet>`_ has the same layout:

    tiny-imagenet-200/
        wnids.txt, words.txt                        the classes, and names of many WordNet IDs
        train/<class>/images/<class>_<number>.JPEG
        val/images/val_<number>.JPEG                val/val_annotations.txt has their classes
        test/images/test_<number>.JPEG              without labels: not read

Results are given on val. Like ImageNet, it is for research and not to be redistributed. Some images
are there twice under different classes; the conversion prints them.

What is written is what mmpretrain's ``CustomDataset`` reads:

    <out_dir>/
        meta/train.txt, meta/val.txt   "<image> <label>" a line; labels count the classes in the
                                       order of their WordNet IDs
        meta/classes.txt               the name of each class, in this order
        images/                        what an archive was extracted to; absent for a folder
"""

import hashlib
from collections import defaultdict
from collections.abc import Mapping, Sequence
from pathlib import Path

from PIL import Image

from ...utils.errors import InvalidValueError
from ...utils.files import write_whole
from ...utils.listing import first_ten
from ..loading.decoding import decode_all
from .conversion import list_images
from .sources import check_same, kept_folder

SIZE = (64, 64)
WHOLE = (200, 100_000, 10_000)
_LIST = 'wnids.txt'
_NEEDED = (
    'Needed is tiny-imagenet-200.zip, or the folder that it holds, with wnids.txt, words.txt, '
    'train/ and val/.'
)


def convert(source: Path, out_dir: Path, workers: int = 1) -> None:
    """Check a copy of Tiny-ImageNet and list its images."""
    folder = _root(kept_folder(source, out_dir / 'images', _NEEDED))
    classes = sorted((folder / _LIST).read_text(encoding='utf-8').split())
    parts = {'train': _find_train(folder, classes), 'val': _find_val(folder, classes)}
    class_of = {path: name for images in parts.values() for path, name in images.items()}
    _report_duplicates(decode_all(class_of, _hash, workers), class_of)

    names = ''.join(f'{name}\n' for name in _names(folder, classes))
    files = {out_dir / 'meta/classes.txt': names}
    for part, images in parts.items():
        labels = {path: classes.index(name) for path, name in images.items()}
        files[out_dir / f'meta/{part}.txt'] = list_images(labels, out_dir)
    write_whole(files)
    found = (len(classes), *map(len, parts.values()))
    print('{1} images for training and {2} for validation, {0} classes'.format(*found))
    if found != WHOLE:
        print('the whole set has {1} + {2} images of {0} classes'.format(*WHOLE))


def _root(folder: Path) -> Path:
    """Find the folder with the list of classes, at most two levels down."""
    for pattern in (_LIST, f'*/{_LIST}', f'*/*/{_LIST}'):
        found = sorted(folder.glob(pattern))
        if len(found) == 1:
            return found[0].parent
        if found:
            raise InvalidValueError(f'{folder} holds several copies: {", ".join(map(str, found))}')
    raise InvalidValueError(f'{folder} holds no {_LIST}. {_NEEDED}')


def _find_train(folder: Path, classes: Sequence[str]) -> dict[Path, str]:
    found = {path.name for path in (folder / 'train').iterdir() if path.is_dir()}
    _compare(folder, 'training classes', set(classes), found)
    images = {}
    for name in classes:
        paths = sorted((folder / 'train' / name / 'images').glob('*.JPEG'), key=_number)
        if not paths:
            raise InvalidValueError(f'{folder / "train" / name / "images"} holds no .JPEG')
        images.update(dict.fromkeys(paths, name))
    return images


def _find_val(folder: Path, classes: Sequence[str]) -> dict[Path, str]:
    table = folder / 'val/val_annotations.txt'
    rows = [line.split('\t') for line in table.read_text(encoding='utf-8').splitlines()]
    strange = [row for row in rows if len(row) < 2 or row[1] not in set(classes)]
    if strange:
        raise InvalidValueError(
            f'{table}: lines that name no image and class of {_LIST} ({len(strange)}): '
            + first_ten([' '.join(row[:2]) for row in strange])
        )
    found = {path.name for path in (folder / 'val/images').glob('*.JPEG')}
    _compare(folder, 'validation images', {row[0] for row in rows}, found)
    return {folder / 'val/images' / row[0]: row[1] for row in rows}


def _compare(folder: Path, kind: str, listed: set[str], found: set[str]) -> None:
    problems = {f'missing {kind}': listed - found, f'{kind} in no list': found - listed}
    check_same(f'{folder} is not a complete copy of Tiny-ImageNet', problems, _NEEDED)


def _number(path: Path) -> tuple[int, str]:
    digits = path.stem.rpartition('_')[2]
    return (int(digits) if digits.isdigit() else 0, path.name)


def _hash(path: Path, image: Image.Image) -> bytes:
    if image.size != SIZE:
        raise InvalidValueError(
            f'{image.size[0]} x {image.size[1]} pixels; expected {SIZE[0]} x {SIZE[1]}'
        )
    return hashlib.sha256(image.convert('RGB').tobytes()).digest()


def _report_duplicates(hash_of: Mapping[Path, bytes], class_of: Mapping[Path, str]) -> None:
    groups = defaultdict(list)
    for path, digest in hash_of.items():
        groups[digest].append(path)
    twice = [paths for paths in groups.values() if len(paths) > 1]
    for across, where in ((False, 'in one part'), (True, 'in training and validation')):
        kind = [p for p in twice if (len({one.name[:4] == 'val_' for one in p}) > 1) == across]
        if kind:
            other = sum(len({class_of[one] for one in paths}) > 1 for paths in kind)
            named = first_ten([' = '.join(one.name for one in paths) for paths in kind])
            print(
                f'images that are there more than once {where} ({len(kind)}, of which {other} '
                f'under different classes): {named}'
            )


def _names(folder: Path, classes: Sequence[str]) -> list[str]:
    """Return a name of each class: the first in words.txt, or all where the first is taken."""
    rows = (folder / 'words.txt').read_text(encoding='utf-8').splitlines()
    words = dict(row.split('\t', 1) for row in rows if '\t' in row)
    full = [words.get(name, name) for name in classes]
    short = [name.split(',')[0] for name in full]
    return [
        name if short.count(name) == 1 else whole for name, whole in zip(short, full, strict=True)
    ]
