"""Strict decoding of images and label maps."""

import hashlib
import os
import re
import stat
from functools import partial
from io import BytesIO
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray
from PIL import Image, UnidentifiedImageError

from ..decoding import capture_standard_error, decode_strictly, first_ten
from .faults import Fault, Inspection

# What libjpeg says of data that it decodes nevertheless, to wrong pixels.
_DAMAGE = re.compile(
    r'(Corrupt JPEG data(?!: bad ICC)|Premature end of JPEG|Inconsistent progression'
    r'|Invalid SOS parameters).*'
)


class _BrokenFileError(Exception):
    """A file that is no whole image: kind of fault, detail."""


def inspect_image(path: str) -> Inspection:
    """Decode an image.

    Args:
        path: The file.

    Returns:
        Its size, faults and digest.
    """
    try:
        data = _read(path)
        form = _format(data)
        if form not in ('JPEG', 'MPO'):  # what Pillow's libjpeg finds, OpenCV's finds too
            _decode_with_pillow(data)
        pixels = _decode_with_opencv(data)
    except _BrokenFileError as broken:
        return Inspection(path, faults=(Fault(broken.args[0], path, broken.args[1]),))
    size = pixels.shape[1], pixels.shape[0]
    return Inspection(path, size, _suffix_faults(path, form), _digest(pixels))


def inspect_label_map(path: str, labels: frozenset[int] | None) -> Inspection:
    """Decode a label map and look at its labels.

    Args:
        path: The file.
        labels: The labels that it may have; None for any.

    Returns:
        Its size, faults and values.
    """
    try:
        data = _read(path)
        form = _format(data)
        image = _decode_with_pillow(data)
        _decode_with_opencv(data)
    except _BrokenFileError as broken:
        return Inspection(path, faults=(Fault(broken.args[0], path, broken.args[1]),))
    faults = [*_suffix_faults(path, form)]
    pixels = np.asarray(image)
    if pixels.ndim != 2:
        faults.append(Fault('several-channels', path, f'its mode is {image.mode}'))
        return Inspection(path, image.size, tuple(faults))
    found = [one.tolist() for one in np.unique(pixels, return_counts=True)]
    values = dict(zip(*found, strict=True))
    if labels is not None:
        wrong = sorted(values.keys() - labels)
        if wrong:
            faults.append(
                Fault('label-range', path, f'no class has {first_ten(list(map(str, wrong)))}')
            )
    return Inspection(path, image.size, tuple(faults), values=values)


def _read(path: str) -> bytes:
    try:
        if not stat.S_ISREG(os.stat(path).st_mode):  # reading a pipe would never end
            raise _BrokenFileError('unreadable', 'no regular file')
        data = Path(path).read_bytes()
    except FileNotFoundError:
        raise _BrokenFileError('missing-file', 'does not exist') from None
    except (OSError, ValueError) as error:  # ValueError: no file can have this name
        raise _BrokenFileError('unreadable', str(error)) from None
    if not data:
        raise _BrokenFileError('empty-file', '0 bytes')
    return data


def _format(data: bytes) -> str:
    """Pillow's name of an image's format."""
    try:
        with Image.open(BytesIO(data)) as image:
            return str(image.format)
    except UnidentifiedImageError:
        raise _BrokenFileError(
            'not-an-image', f'{len(data)} bytes, the first are {data[:16]!r}'
        ) from None
    except Exception as error:  # what a broken file makes Pillow raise is not bounded
        raise _BrokenFileError('damaged', str(error)) from None


def _decode_with_pillow(data: bytes) -> Image.Image:
    try:
        return decode_strictly(data)
    except Exception as error:  # as above
        raise _BrokenFileError('damaged', str(error)) from None


def _decode_with_opencv(data: bytes) -> NDArray[Any]:
    """The pixels of an image as training decodes it, unless libjpeg finds damage."""
    try:
        pixels, said = capture_standard_error(
            partial(cv2.imdecode, np.frombuffer(data, np.uint8), cv2.IMREAD_COLOR)
        )
    except cv2.error as error:
        raise _BrokenFileError('damaged', str(error)) from None
    text = said.decode(errors='replace')
    if pixels is None:
        raise _BrokenFileError('damaged', ' '.join(['OpenCV cannot decode it', *text.split()]))
    damage = _DAMAGE.search(text)
    if damage:
        raise _BrokenFileError('damaged', damage[0])
    return pixels


def _digest(pixels: NDArray[Any]) -> bytes:
    digest = hashlib.blake2b(repr(pixels.shape).encode(), digest_size=16)
    digest.update(np.ascontiguousarray(pixels).data)
    return digest.digest()


def _suffix_faults(path: str, form: str) -> tuple[Fault, ...]:
    suffix = Path(path).suffix.lower()
    named = Image.registered_extensions().get(suffix, form)
    if named == form or (named, form) == ('JPEG', 'MPO'):
        return ()
    return (Fault('wrong-suffix', path, f'holds {form}, {suffix} is for {named}'),)
