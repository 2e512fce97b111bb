"""Which files of a folder are images, whatever their names end in, and which are not read."""

import os
import re
from collections import Counter
from collections.abc import Callable, Collection, Iterable, Iterator
from functools import cache
from pathlib import Path
from typing import Any

import cv2
from PIL import Image

# Formats that Pillow knows by name only, or draws with the help of other programs.
_NOT_DECODED = ('BUFR', 'EMF', 'EPS', 'GRIB', 'HDF5', 'IPTC', 'MPEG', 'PDF', 'WMF')
_OPENCV_ONLY = ('.hdr', '.pic', '.pfm', '.sr')
_UNREADABLE = {
    '.heic': 'HEIC is not read: save it as JPEG or PNG',
    '.heif': 'HEIF is not read: save it as JPEG or PNG',
    '.jxl': 'JPEG XL is not read: save it as JPEG or PNG',
    '.svg': 'SVG is not read: save it as PNG',
    '.pdf': 'PDF is not read: save its pages as PNG',
}
VIDEO = 'a video'
_PATH_AND_LABEL = re.compile(r'(.*\S)[ \t]+(-?\d+)')
_VIDEOS = ('.mp4', '.avi', '.mov', '.mkv', '.webm', '.m4v', '.mpg', '.mpeg', '.wmv')


@cache
def image_suffixes() -> tuple[str, ...]:
    """Return the suffixes, in small letters, of the formats that Pillow or OpenCV decodes."""
    Image.init()
    of_pillow = {
        suffix
        for suffix, form in Image.registered_extensions().items()
        if form in Image.OPEN and form not in _NOT_DECODED
    }
    return tuple(sorted(of_pillow.union(_OPENCV_ONLY)))


def is_image(path: str | Path) -> bool:
    """Whether a file is an image, by its suffix, or else by its content."""
    suffix = Path(path).suffix.lower()
    if suffix in image_suffixes():
        return True
    return suffix not in _VIDEOS and cv2.haveImageReader(str(path))


def walk(folder: str | Path, onerror: Callable[[OSError], object] | None = None) -> Iterator[str]:
    """Yield the files below a folder, as sorted paths below it; hidden ones are left out.

    A folder to which links lead is read once, under its own name where that is below the folder.
    ``onerror`` is that of ``os.walk``.
    """
    root = Path(folder).resolve()
    seen = {root}
    for parent, folders, names in os.walk(folder, followlinks=True, onerror=onerror):
        place = os.path.relpath(parent, folder)
        for name in sorted(names):
            if not name.startswith('.'):
                yield name if place == '.' else os.path.join(place, name)
        kept = []
        below = sorted(Path(parent, name) for name in folders)
        for path in sorted(below, key=Path.is_symlink):
            target = path.resolve()
            if not (path.name.startswith('.') or target in seen or _has_own_place(path, root)):
                seen.add(target)
                kept.append(path.name)
        folders[:] = sorted(kept)


def _has_own_place(path: Path, root: Path) -> bool:
    """Return whether it is a link to what is below the root and not hidden, or is above."""
    if not path.is_symlink():
        return False
    target = path.resolve()
    if not target.is_relative_to(root):
        return root.is_relative_to(target)
    return not any(part.startswith('.') for part in target.relative_to(root).parts)


def without_links_to_the_same(paths: Iterable[Path]) -> list[Path]:
    """Return paths without those that lead, through links to folders, to a file of another."""
    chosen: dict[Path, Path] = {}
    for path in paths:
        place = path.parent.resolve() / path.name
        if place not in chosen or path.parent.absolute() == place.parent:
            chosen[place] = path
    return sorted(chosen.values())


def split_line(line: str) -> tuple[str, int | None]:
    """Return what a line of a list of images names: a path, and the number of a class or None."""
    text = line.strip('\ufeff \t\r\n')
    match = _PATH_AND_LABEL.fullmatch(text)
    return (match[1], int(match[2])) if match else (text, None)


def why_unreadable(path: str | Path) -> str:
    """Return why a picture or film cannot be read as an image; empty for what is neither."""
    suffix = Path(path).suffix.lower()
    return VIDEO if suffix in _VIDEOS else _UNREADABLE.get(suffix, '')


def count_reasons(paths: Iterable[str | Path]) -> list[str]:
    """Say why files are no images, with the number of each reason, as ``'3 .txt: no image'``."""
    counts = Counter(
        f'{Path(path).suffix or "without suffix"}: {why_unreadable(path) or "no image"}'
        for path in paths
    )
    return [f'{number} {reason}' for reason, number in sorted(counts.items())]


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
