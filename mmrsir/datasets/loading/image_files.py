"""Which files of a folder are images, whatever their names end in."""

import os
from collections import Counter
from collections.abc import Iterable, Iterator
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


def walk(folder: str | Path) -> Iterator[str]:
    """Yield the files below a folder, as sorted paths below it; hidden ones are left out.

    So are links to a folder that they are in, which have no end.
    """
    for parent, folders, names in os.walk(folder, followlinks=True):
        folders[:] = sorted(
            one for one in folders if not one.startswith('.') and not _leads_back(Path(parent, one))
        )
        below = os.path.relpath(parent, folder)
        for name in sorted(names):
            if not name.startswith('.'):
                yield name if below == '.' else os.path.join(below, name)


def _leads_back(folder: Path) -> bool:
    above = folder.absolute().parents
    return folder.is_symlink() and folder.resolve() in [one.resolve() for one in above]


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
