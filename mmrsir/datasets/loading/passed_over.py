"""Images that lie in the folders of a data set, and are not read."""

import os
from collections import Counter
from collections.abc import Collection, Iterable, Iterator
from pathlib import Path
from typing import Any

from .image_files import image_suffixes, is_image, walk, why_unreadable


def files_of(samples: Iterable[dict[str, Any]]) -> Iterator[str]:
    """The absolute paths of the images and label maps of a data set's samples."""
    for sample in samples:
        for key in ('img_path', 'seg_map_path'):
            if sample.get(key):
                yield os.path.abspath(sample[key])


def passed_over(dataset: Any, used: Collection[str] | None, listed: bool = True) -> str:
    """Say how many images of a data set's folders it does not read, and why; empty if none.

    ``used`` has the paths that are read; None for class folders, which read all of some suffixes.
    """
    if dataset.ann_file and not listed:
        return ''
    if used is not None and getattr(dataset, '_indices', None) is not None:
        used = {*used, *files_of(dataset.load_data_list())}  # `indices` leave some out on purpose
    prefix = dataset.data_prefix
    folder = prefix.get('img_path') or prefix.get('img') or getattr(dataset, 'img_prefix', '')
    lines = _count(dataset, folder, used)
    label_maps = prefix.get('seg_map_path')
    if label_maps and not dataset.ann_file and hasattr(dataset, 'seg_map_suffix'):
        lonely = sum(
            name.endswith(dataset.seg_map_suffix) and not _is_used(dataset, label_maps, name, used)
            for name in walk(label_maps)
        )
        if lonely:
            lines.append(f'{lonely} label maps of {label_maps}: no image has their name')
    return '; '.join(lines)


def _count(dataset: Any, folder: str, used: Collection[str] | None) -> list[str]:
    if not folder or not os.path.isdir(folder):
        return []
    counts: Counter[str] = Counter()
    num_used = 0
    names = list(walk(folder))
    stems = Counter(os.path.splitext(name)[0] for name in names if _names_image(name))
    for name in names:
        if _is_used(dataset, folder, name, used):
            num_used += 1
            continue
        image = is_image(os.path.join(folder, name))
        why = _why(dataset, name, stems) if image else why_unreadable(name)
        if why:
            counts[f'{Path(name).suffix or "without suffix"}: {why}'] += 1
    if not counts:
        return []
    num, total = counts.total(), counts.total() + num_used
    reasons = '; '.join(f'{number} {reason}' for reason, number in sorted(counts.items()))
    return [f'{num} of {total} images of {folder} are not read: {reasons}']


def _why(dataset: Any, name: str, stems: Counter[str]) -> str:
    if dataset.ann_file:
        return f'not in {dataset.ann_file}'
    if hasattr(dataset, 'extensions'):
        if dataset.with_label and '/' not in name:
            return 'not in the folder of a class'
        return 'not in extensions=(…) of the data set'
    stem = os.path.splitext(name)[0]
    folder = dataset.data_prefix.get('seg_map_path')
    if folder and not os.path.isfile(os.path.join(folder, stem + dataset.seg_map_suffix)):
        return f'no label map has their name and ends in {dataset.seg_map_suffix}'
    if stems[stem] > 1 and _names_image(dataset.img_suffix):
        return 'another image has the same name'
    return f'does not end in img_suffix={dataset.img_suffix!r}'


def _names_image(name: str) -> bool:
    return os.path.splitext(f'a{name}')[1].lower() in image_suffixes()


def _is_used(dataset: Any, folder: str, name: str, used: Collection[str] | None) -> bool:
    if used is None:
        in_class = not dataset.with_label or '/' in name
        return bool(in_class and dataset.is_valid_file(name))
    return os.path.abspath(os.path.join(folder, name)) in used
