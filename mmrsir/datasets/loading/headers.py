"""What stands beside the pixels of an image file: its format, its orientation."""

import re
import struct
from collections.abc import Callable, Sequence
from functools import partial
from io import BytesIO
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import ExifTags, Image
from PIL.TiffImagePlugin import ImageFileDirectory_v2

Pixels = NDArray[Any]

SIGNATURES = {
    'JPEG': re.compile(rb'\xff\xd8'),
    'PNG': re.compile(rb'\x89PNG\r\n\x1a\n'),
    'WEBP': re.compile(rb'RIFF....WEBP', re.DOTALL),
    'AVIF': re.compile(rb'....ftypavi[fs]', re.DOTALL),
    'TIFF': re.compile(rb'II[*+]\0|MM\0[*+]'),
}
_OF_FRAMES = ('GIF', 'PNG', 'TIFF', 'WEBP')  # a JPEG of a telephone often has its preview inside
_TURNS: dict[int, Callable[[Pixels], Pixels]] = {
    2: np.fliplr,
    3: partial(np.rot90, k=2),
    4: np.flipud,
    5: lambda pixels: pixels.swapaxes(0, 1),
    6: partial(np.rot90, k=-1),
    7: lambda pixels: np.rot90(pixels, 2).swapaxes(0, 1),
    8: np.rot90,
}


def turn(pixels: Pixels, stored: int) -> Pixels:
    return np.ascontiguousarray(_TURNS[stored](pixels)) if stored in _TURNS else pixels


def orientation(data: bytes) -> int:
    """Return the EXIF orientation of an image, 1 where it has none."""
    try:
        image = open_image(data)
        if image is None:
            return 1
        if image.format == 'TIFF':
            return int(image.getexif().get(ExifTags.Base.Orientation, 1))
        if image.format == 'PNG' and 'exif' not in image.info and b'eXIf' in data:
            image.load()  # it may stand behind the pixels
        exif = Image.Exif()  # and not image.getexif(), which adds what XMP says; OpenCV does not
        exif.load(image.info.get('exif', b''))
        return int(exif.get(ExifTags.Base.Orientation, 1))
    except Exception:  # what broken metadata makes Pillow raise is not bounded
        return 1


def num_frames(image: Image.Image | None) -> int:
    if image is None or image.format not in _OF_FRAMES:
        return 1
    return int(getattr(image, 'n_frames', 1))


def open_image(data: bytes, formats: Sequence[str] | None = None) -> Image.Image | None:
    """Open an image with Pillow, however large it is; None for what is of no known format."""
    Image.init()
    for form in formats or Image.ID:
        factory, accept = Image.OPEN[form]
        try:
            if accept is not None and accept(data[:16]) is not True:
                continue
            return factory(BytesIO(data), '')
        except (SyntaxError, IndexError, TypeError, struct.error):
            continue  # as Image.open does, which refuses large images too
    return None


def type_of_tiff(data: bytes) -> str:
    """Return the type of a TIFF's pixels, for a message; empty for what is no TIFF."""
    if not SIGNATURES['TIFF'].match(data):
        return ''
    try:
        tags = ImageFileDirectory_v2(data[:8])
        file = BytesIO(data)
        file.seek(tags.next)
        tags.load(file)
        kind = {1: 'unsigned', 2: 'signed', 3: 'float'}.get(tags.get(339, (1,))[0], 'unknown')
        return f' (TIFF of {tags.get(258, (1,))[0]}-bit pixels, {kind}; save it as 16 or 32 bits)'
    except Exception:  # as for other broken headers
        return ' (TIFF)'
