"""Which files of a folder are images, whatever their names end in."""

import os
import re
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from functools import cache
from pathlib import Path

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
