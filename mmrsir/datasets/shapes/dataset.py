"""A seeded synthetic data set: shapes on photographs, in COCO, ADE20K and ImageNet layout at once.

    <out_dir>/
        coco/annotations/instances_{train,val}.json   coco/{train,val}/*.jpg
        ade/images/{training,validation}/*.jpg        ade/annotations/{training,validation}/*.png
        imagenet/{train,val}/<class>/*.jpg            imagenet/meta/{train,val}.txt
        shapes.json                                   the settings; "files" is 0 until all are there

The pictures of `coco` and `ade` are the same. Every picture depends on the seed, its size, its
split and its number alone, so the bytes do not change with the number of workers, and a larger
data set begins with the pictures of a smaller one.
"""

import json
import os
import re
import shutil
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from ...utils.arguments import check_choice, check_int
from ...utils.files import write_whole
from ...utils.progress import show_progress
from .annotation import CATEGORY_IDS, annotate
from .drawing import CLASSES, FloatImage
from .scene import compose_scene, compose_single

__all__ = ['CATEGORY_IDS', 'CLASSES', 'make_shapes']

MANIFEST = 'shapes.json'
GENERATOR = 'mmrsir shapes'
# Raise it when the same settings give other files: older data sets are then made anew.
VERSION = 1

_ADE_SPLITS = {'train': 'training', 'val': 'validation'}
# All that decides the bytes of a data set: the default, the range, and what it is.
SETTINGS = {
    'num_train': (320, (1, 999_999), 'training pictures'),
    'num_val': (64, (1, 999_999), 'validation pictures'),
    'image_size': (256, (128, 1024), 'their side in pixels'),
    'num_cls_train': (200, (1, 999_999), 'classification: training pictures per class'),
    'num_cls_val': (40, (1, 999_999), 'classification: validation pictures per class'),
    'cls_image_size': (96, (32, 512), 'classification: side in pixels'),
    'seed': (0, (0, 2**32 - 1), 'seed of every random choice'),
}
_OUR_FILES = re.compile(
    r'coco/(train|val)/shapes_\1_\d{6}\.jpg'
    r'|ade/images/(training|validation)/shapes_(train|val)_\d{6}\.jpg'
    r'|ade/annotations/(training|validation)/shapes_(train|val)_\d{6}\.png'
    r'|coco/annotations/instances_(train|val)\.json'
    rf'|imagenet/(train|val)/(?P<class>{"|".join(CLASSES)})/(?P=class)_\d{{6}}\.jpg'
    r'|imagenet/meta/(train|val)\.txt'
)
_Settings = dict[str, int]
_Record = dict[str, Any]


def _write(path: Path, pixels: NDArray[np.uint8], *options: int) -> None:
    # cv2.imwrite reports a full disk by returning False; write_bytes raises.
    done, data = cv2.imencode(path.suffix, pixels, options)
    if not done:
        raise OSError(f'OpenCV cannot encode {path}')
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(data.tobytes())


def _write_jpeg(path: Path, image: FloatImage) -> None:
    pixels = np.rint(np.clip(image, 0.0, 255.0)).astype(np.uint8)
    _write(path, pixels[..., ::-1].copy(), cv2.IMWRITE_JPEG_QUALITY, 92)


def _link(source: Path, target: Path) -> None:
    target.parent.mkdir(parents=True, exist_ok=True)
    target.unlink(missing_ok=True)
    try:
        os.link(source, target)
    except OSError:  # a file system without hard links
        shutil.copyfile(source, target)


def _make_scene(
    root: Path, settings: _Settings, split: str, index: int
) -> tuple[_Record, list[_Record]]:
    """Write an image and its label map; return the COCO records of both."""
    stem = f'shapes_{split}_{index:06d}'
    scene = compose_scene(settings['seed'], index, settings['image_size'], split == 'val')
    annotations, labels = annotate(scene)
    jpeg = root / 'coco' / split / f'{stem}.jpg'
    _write_jpeg(jpeg, scene.picture)
    _link(jpeg, root / 'ade/images' / _ADE_SPLITS[split] / jpeg.name)
    _write(root / 'ade/annotations' / _ADE_SPLITS[split] / f'{stem}.png', labels)
    size = dict(width=scene.size, height=scene.size)
    return dict(id=index + 1, file_name=jpeg.name, **size, license=1), annotations


def _make_single(root: Path, settings: _Settings, split: str, number: int) -> str:
    """Write an image for classification; return its line of meta."""
    label, index = divmod(number, settings[f'num_cls_{split}'])
    name = f'{CLASSES[label]}/{CLASSES[label]}_{index:06d}.jpg'
    size, seed = settings['cls_image_size'], settings['seed']
    _write_jpeg(
        root / 'imagenet' / split / name, compose_single(seed, label, index, size, split == 'val')
    )
    return f'{name} {label}\n'


def _coco(records: list[tuple[_Record, list[_Record]]]) -> _Record:
    found = [{'image_id': image['id'], **one} for image, found in records for one in found]
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
        'annotations': [{'id': number, **one} for number, one in enumerate(found, start=1)],
    }


def _our_files(root: Path) -> list[Path]:
    """The files under `root` that have the names this module gives, whatever settings made them."""
    files = (path for kind in ('coco', 'ade', 'imagenet') for path in (root / kind).rglob('*'))
    return sorted(p for p in files if _OUR_FILES.fullmatch(p.relative_to(root).as_posix()))


def _read_marker(path: Path) -> _Record | None:
    """What a manifest says, or None where there is none of ours."""
    try:
        content = json.loads(path.read_text(encoding='utf-8'))
    except (OSError, ValueError):
        return None
    ours = isinstance(content, dict) and content.get('generator') == GENERATOR
    return content if ours else None


def _generate(root: Path, settings: _Settings, workers: int) -> None:
    # Threads suffice: the time goes into OpenCV and NumPy, which let go of the interpreter's lock.
    # A process would first import torch, which takes longer than making a few hundred images.
    with ThreadPoolExecutor(workers) as pool:
        for split in _ADE_SPLITS:
            number, singles = settings[f'num_{split}'], len(CLASSES) * settings[f'num_cls_{split}']
            scenes = pool.map(partial(_make_scene, root, settings, split), range(number))
            records = _coco(list(show_progress(scenes, f'{split}: pictures', number)))
            lines = pool.map(partial(_make_single, root, settings, split), range(singles))
            text = ''.join(show_progress(lines, f'{split}: classification', singles))
            content = json.dumps(records) + '\n'
            lists = {root / f'coco/annotations/instances_{split}.json': content}
            write_whole({**lists, root / f'imagenet/meta/{split}.txt': text})


def make_shapes(
    out_dir: str | os.PathLike[str], workers: int = 1, overwrite: bool = False, **settings: int
) -> dict[str, Any]:
    """Make the data set, unless `out_dir` already holds it.

    `settings` are those of `SETTINGS`. The result does not depend on the number of `workers`, which
    are threads.

    A data set of ours with other settings, or one that was interrupted, is replaced; with
    `overwrite` also one that is there. Files that are not ours are never deleted.

    Returns:
        The manifest, which is the content of `shapes.json`.

    Raises:
        TypeError: an argument is no integer.
        ValueError: an argument is unknown or out of its range.
        FileExistsError: `out_dir` holds files but no data set of ours, without `overwrite`.
        NotADirectoryError: `out_dir` is a file.
    """
    for name in settings:
        check_choice('setting', name, SETTINGS)
    settings = {name: settings.get(name, default) for name, (default, *_) in SETTINGS.items()}
    for name, (_, (low, high), _) in SETTINGS.items():
        check_int(name, settings[name], low, high)
    check_int('workers', workers, 1, 1024)
    root = Path(out_dir)
    if root.exists() and not root.is_dir():
        raise NotADirectoryError(f'{root} is a file; the data set needs a folder')
    pictures = f'{settings["num_train"]} + {settings["num_val"]}'
    singles = f'{settings["num_cls_train"]} + {settings["num_cls_val"]}'
    manifest = {
        'generator': GENERATOR,
        'version': VERSION,
        'settings': settings,
        'classes': list(CLASSES),
        'category_ids': list(CATEGORY_IDS),
        # An image, its twin in ade and its label map; two COCO files and two lists in meta.
        'files': 3 * (settings['num_train'] + settings['num_val'])
        + len(CLASSES) * (settings['num_cls_train'] + settings['num_cls_val'])
        + 4,
    }

    found = _read_marker(root / MANIFEST)
    if found == manifest and not overwrite and len(_our_files(root)) == manifest['files']:
        print(f'{root} already holds this data set; nothing to do')
        return manifest
    if found is None and not overwrite and root.is_dir() and any(root.iterdir()):
        raise FileExistsError(
            f'{root} holds files that are not a data set of shapes; name another folder, '
            'or allow to write among them with --overwrite (overwrite=True)'
        )

    print(
        f'making {pictures} pictures and {len(CLASSES)} x ({singles}) for classification in {root}'
    )
    _write_manifest(root, {**manifest, 'files': 0})
    for path in _our_files(root) if found is not None else ():
        path.unlink()
    _generate(root, settings, workers)
    _write_manifest(root, manifest)
    print(f'done: {manifest["files"]} files in {root}')
    return manifest


def _write_manifest(root: Path, manifest: _Record) -> None:
    write_whole({root / MANIFEST: json.dumps(manifest, indent=2) + '\n'})
