"""A seeded synthetic data set: shapes on photographs, in COCO, ADE20K and ImageNet layout at once.

    <out_dir>/
        coco/annotations/instances_{train,val}.json   coco/{train,val}/*.jpg
        ade/images/{training,validation}/*.jpg        ade/annotations/{training,validation}/*.png
        imagenet/{train,val}/<class>/*.jpg            imagenet/meta/{train,val}.txt
        shapes.json                                   the settings; written last: "complete"

The pictures of `coco` and `ade` are the same. Every picture depends on the seed, its size, its
split and its number alone, so the bytes do not change with the number of workers, and a larger
data set begins with the pictures of a smaller one.
"""

from __future__ import annotations

import json
import os
import re
import shutil
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray
from rich.console import Console
from rich.progress import track

from mmrsir.datasets.shapes.annotation import CATEGORY_IDS, annotate
from mmrsir.datasets.shapes.drawing import CLASSES, Picture
from mmrsir.datasets.shapes.scene import compose_scene, compose_single
from mmrsir.utils.files import write_whole

__all__ = ['CATEGORY_IDS', 'CLASSES', 'Settings', 'make_shapes']

MANIFEST = 'shapes.json'
UNFINISHED = 'shapes.unfinished.json'
GENERATOR = 'mmrsir shapes'
# Raise it when the same settings give other files: older data sets are then made anew.
VERSION = 1

_SPLITS = ('train', 'val')
_ADE_SPLITS = {'train': 'training', 'val': 'validation'}
_OUR_FILES = re.compile(
    r'coco/(train|val)/shapes_\1_\d{6}\.jpg'
    r'|ade/images/(training|validation)/shapes_(train|val)_\d{6}\.jpg'
    r'|ade/annotations/(training|validation)/shapes_(train|val)_\d{6}\.png'
    r'|coco/annotations/instances_(train|val)\.json'
    rf'|imagenet/(train|val)/(?P<class>{"|".join(CLASSES)})/(?P=class)_\d{{6}}\.jpg'
    r'|imagenet/meta/(train|val)\.txt'
)


@dataclass(frozen=True)
class Settings:
    """All that decides the bytes of a data set; the arguments of `make_shapes`."""

    num_train: int
    num_val: int
    image_size: int
    num_cls_train: int
    num_cls_val: int
    cls_image_size: int
    seed: int

    def __post_init__(self) -> None:
        count = (1, 999_999)
        ranges = {
            'num_train': count,
            'num_val': count,
            'image_size': (128, 1024),
            'num_cls_train': count,
            'num_cls_val': count,
            'cls_image_size': (32, 512),
            'seed': (0, 2**32 - 1),
        }
        for name, (low, high) in ranges.items():
            _check_range(name, getattr(self, name), low, high)


def _check_range(name: str, value: int, low: int, high: int) -> None:
    if isinstance(value, bool) or not isinstance(value, int) or not low <= value <= high:
        nearest = f'; nearest {min(max(value, low), high)}' if type(value) is int else ''
        raise ValueError(
            f'{name} = {value!r} is not allowed; allowed: an integer from {low} to {high}{nearest}'
        )


def _write(path: Path, suffix: str, pixels: NDArray[np.uint8], options: list[int]) -> None:
    # cv2.imwrite reports a full disk by returning False; write_bytes raises.
    done, data = cv2.imencode(suffix, pixels, options)
    if not done:
        raise OSError(f'OpenCV cannot encode {path}')
    path.write_bytes(data.tobytes())


def _write_jpeg(path: Path, picture: Picture) -> None:
    pixels = np.rint(np.clip(picture, 0.0, 255.0)).astype(np.uint8)
    _write(path, '.jpg', pixels[..., ::-1].copy(), [cv2.IMWRITE_JPEG_QUALITY, 92])


def _link(source: Path, target: Path) -> None:
    target.unlink(missing_ok=True)
    try:
        os.link(source, target)
    except OSError:  # a file system without hard links
        shutil.copyfile(source, target)


def _make_scene(
    root: Path, settings: Settings, task: tuple[str, int]
) -> tuple[dict[str, Any], list[dict[str, Any]]]:
    """Write picture and label map `task[1]` of split `task[0]`; return their COCO records."""
    split, index = task
    stem = f'shapes_{split}_{index:06d}'
    scene = compose_scene(settings.seed, index, settings.image_size, split == 'val')
    annotations, labels = annotate(scene)
    jpeg = root / 'coco' / split / f'{stem}.jpg'
    _write_jpeg(jpeg, scene.picture)
    _link(jpeg, root / 'ade/images' / _ADE_SPLITS[split] / jpeg.name)
    _write(root / 'ade/annotations' / _ADE_SPLITS[split] / f'{stem}.png', '.png', labels, [])
    image = {
        'id': index + 1,
        'file_name': jpeg.name,
        'width': scene.size,
        'height': scene.size,
        'license': 1,
    }
    return image, annotations


def _make_single(root: Path, settings: Settings, task: tuple[str, int, int]) -> str:
    """Write picture `task[2]` of class `task[1]` of split `task[0]`; return its line of meta."""
    split, label, index = task
    name = f'{CLASSES[label]}/{CLASSES[label]}_{index:06d}.jpg'
    picture = compose_single(settings.seed, label, index, settings.cls_image_size, split == 'val')
    _write_jpeg(root / 'imagenet' / split / name, picture)
    return f'{name} {label}'


def _coco(records: list[tuple[dict[str, Any], list[dict[str, Any]]]]) -> dict[str, Any]:
    annotations: list[dict[str, Any]] = []
    for image, found in records:
        for annotation in found:
            annotations.append({'id': len(annotations) + 1, 'image_id': image['id'], **annotation})
    return {
        'info': {
            'description': 'Synthetic shapes on photographs from scikit-image',
            'version': str(VERSION),
            'contributor': GENERATOR,
        },
        'licenses': [
            {
                'id': 1,
                'name': 'CC0, public domain or no known copyright restrictions',
                'url': 'https://scikit-image.org/docs/stable/api/skimage.data.html',
            }
        ],
        'categories': [
            {'id': i, 'name': name, 'supercategory': 'shape'}
            for i, name in zip(CATEGORY_IDS, CLASSES, strict=True)
        ],
        'images': [image for image, _ in records],
        'annotations': annotations,
    }


def _folders(root: Path) -> list[Path]:
    folders = [root / 'coco/annotations', root / 'imagenet/meta']
    for split in _SPLITS:
        folders += [root / 'coco' / split]
        folders += [root / 'ade' / kind / _ADE_SPLITS[split] for kind in ('images', 'annotations')]
        folders += [root / 'imagenet' / split / name for name in CLASSES]
    return folders


def _our_files(root: Path) -> list[Path]:
    """The files under `root` that have the names this module gives, whatever settings made them."""
    files = (path for folder in _folders(root) if folder.is_dir() for path in folder.iterdir())
    return sorted(p for p in files if _OUR_FILES.fullmatch(p.relative_to(root).as_posix()))


def _read_marker(path: Path) -> dict[str, Any] | None:
    """What a manifest or an unfinished one says, or None where there is none of ours."""
    if not path.is_file():
        return None
    try:
        content = json.loads(path.read_text(encoding='utf-8'))
    except ValueError:
        return None
    ours = isinstance(content, dict) and content.get('generator') == GENERATOR
    return content if ours else None


def _write_json(path: Path, content: dict[str, Any], indent: int | None = None) -> None:
    """Write the file whole or not at all."""
    write_whole({path: json.dumps(content, indent=indent) + '\n'})


def _manifest(settings: Settings) -> dict[str, Any]:
    cls_train, cls_val = settings.num_cls_train, settings.num_cls_val
    pictures, singles = settings.num_train + settings.num_val, len(CLASSES) * (cls_train + cls_val)
    return {
        'generator': GENERATOR,
        'version': VERSION,
        'settings': asdict(settings),
        'classes': list(CLASSES),
        'category_ids': list(CATEGORY_IDS),
        # A picture, its twin in ade and its label map; two COCO files and two lists in meta.
        'files': 3 * pictures + singles + 4,
    }


def _generate(root: Path, settings: Settings, workers: int, console: Console) -> None:
    scenes = [
        (split, index)
        for split, count in zip(_SPLITS, (settings.num_train, settings.num_val), strict=True)
        for index in range(count)
    ]
    singles = [
        (split, label, index)
        for split, count in zip(
            _SPLITS, (settings.num_cls_train, settings.num_cls_val), strict=True
        )
        for label in range(len(CLASSES))
        for index in range(count)
    ]
    for folder in _folders(root):
        folder.mkdir(parents=True, exist_ok=True)
    # Threads suffice: the time goes into OpenCV and NumPy, which let go of the interpreter's lock.
    # A process would first import torch, which takes longer than making a few hundred pictures.
    show = partial(
        track,
        console=console,
        disable=not console.is_terminal or console.quiet,
        transient=True,
    )
    with ThreadPoolExecutor(workers) as pool:
        scenes_made = pool.map(partial(_make_scene, root, settings), scenes)
        records = list(show(scenes_made, 'pictures', total=len(scenes)))
        singles_made = pool.map(partial(_make_single, root, settings), singles)
        lines = list(show(singles_made, 'classification', total=len(singles)))
    bounds = {'train': slice(None, settings.num_train), 'val': slice(settings.num_train, None)}
    train_lines = len(CLASSES) * settings.num_cls_train
    line_bounds = {'train': slice(None, train_lines), 'val': slice(train_lines, None)}
    for split in _SPLITS:
        coco = _coco(records[bounds[split]])
        _write_json(root / 'coco/annotations' / f'instances_{split}.json', coco)
        text = '\n'.join(lines[line_bounds[split]]) + '\n'
        (root / 'imagenet/meta' / f'{split}.txt').write_text(text, encoding='utf-8')


def make_shapes(
    out_dir: str | os.PathLike[str],
    num_train: int = 320,
    num_val: int = 64,
    image_size: int = 256,
    num_cls_train: int = 200,
    num_cls_val: int = 40,
    cls_image_size: int = 96,
    seed: int = 0,
    workers: int = 1,
    overwrite: bool = False,
    verbose: bool = False,
) -> dict[str, Any]:
    """Make the data set, unless `out_dir` already holds it.

    A data set of ours with other settings, or one that was interrupted, is replaced. Files that are
    not ours are never deleted.

    Args:
        out_dir: folder to make it in; made if absent.
        num_train: training pictures for detection and segmentation.
        num_val: validation pictures for detection and segmentation.
        image_size: side of those pictures in pixels.
        num_cls_train: training pictures for classification, per class.
        num_cls_val: validation pictures for classification, per class.
        cls_image_size: side of those pictures in pixels.
        seed: seed of every random choice.
        workers: threads to share the work; the result does not depend on it.
        overwrite: make the data set again even if it is there, and write among files of others.
        verbose: say what is done, with a progress bar where the output is a terminal.

    Returns:
        The manifest, which is the content of `shapes.json`.

    Raises:
        ValueError: an argument is out of its range.
        FileExistsError: `out_dir` holds files but no data set of ours, without `overwrite`.
        NotADirectoryError: `out_dir` is a file.
    """
    settings = Settings(
        num_train, num_val, image_size, num_cls_train, num_cls_val, cls_image_size, seed
    )
    _check_range('workers', workers, 1, 1024)
    root = Path(out_dir)
    if root.exists() and not root.is_dir():
        raise NotADirectoryError(f'{root} is a file; the data set needs a folder')
    console = Console(quiet=not verbose, highlight=False, soft_wrap=True)
    manifest = _manifest(settings)

    complete, unfinished = _read_marker(root / MANIFEST), _read_marker(root / UNFINISHED)
    ours = complete is not None or unfinished is not None
    finished = complete == manifest and unfinished is None
    if finished and not overwrite and len(_our_files(root)) == manifest['files']:
        console.print(f'{root} already holds this data set; nothing to do')
        return manifest
    if not ours and not overwrite and root.is_dir() and any(root.iterdir()):
        raise FileExistsError(
            f'{root} holds files that are not a data set of shapes; name another folder, '
            'or allow to write among them with --overwrite (overwrite=True)'
        )

    console.print(
        f'making {num_train} + {num_val} pictures and '
        f'{len(CLASSES)} x ({num_cls_train} + {num_cls_val}) for classification in {root}'
    )
    root.mkdir(parents=True, exist_ok=True)
    _write_json(root / UNFINISHED, manifest, indent=2)
    if complete is not None:
        (root / MANIFEST).unlink()
    if ours:
        for path in _our_files(root):
            path.unlink()
    _generate(root, settings, workers, console)
    _write_json(root / MANIFEST, manifest, indent=2)
    (root / UNFINISHED).unlink()
    console.print(f'done: {manifest["files"]} files in {root}')
    return manifest
