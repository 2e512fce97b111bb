"""Strict decoding of images and label maps."""

import hashlib
import os
import stat
from functools import partial
from pathlib import Path

import numpy as np
from PIL import Image

from ...utils.missing import nearest
from ..loading.decoding import first_ten
from ..loading.headers import Pixels, num_frames, open_image, orientation
from ..loading.jpeg import BrokenImageError, capture_standard_error
from ..loading.reading import Reading, ValueRangeError, describe_values
from .faults import Fault, Inspection


class _BrokenFileError(Exception):
    """A file that is no whole image: kind of fault, detail."""


def inspect_image(path: str, reading: Reading, folder: str | None = None) -> Inspection:
    """Decode an image as training does."""
    try:
        data = _read(path, folder)
        header = _header(data)
        pixels, said = capture_standard_error(partial(_decode, reading, data))
    except _BrokenFileError as broken:
        return Inspection(path, faults=(Fault(broken.args[0], path, broken.args[1]),))
    faults = [*_suffix_faults(path, header), *_frame_faults(path, header)]
    if b'extraneous bytes' in said:
        faults.append(Fault('superfluous', path, said.decode(errors='replace').strip()))
    try:
        reading.to_eight_bits(pixels[:1, :1])
    except ValueRangeError:
        faults.append(Fault('value-range', path, describe_values(pixels)))
    height, width = pixels.shape[:2]
    return Inspection(
        path,
        (width, height),
        tuple(faults),
        _digest(pixels),
        orientation=orientation(data),
        dtype=str(pixels.dtype),
        extent=_extent(pixels),
    )


def inspect_label_map(path: str, labels: frozenset[int] | None) -> Inspection:
    """Decode a label map and look at its labels."""
    try:
        data = _read(path)
        header = _header(data)
        _decode(Reading('unchanged'), data)
        mode, pixels = _labels(data)
    except _BrokenFileError as broken:
        return Inspection(path, faults=(Fault(broken.args[0], path, broken.args[1]),))
    faults = [*_suffix_faults(path, header)]
    size = pixels.shape[1], pixels.shape[0]
    if pixels.ndim != 2:
        faults.append(Fault('several-channels', path, f'its mode is {mode}'))
        return Inspection(path, size, tuple(faults))
    found = [one.tolist() for one in np.unique(pixels, return_counts=True)]
    values = dict(zip(*found, strict=True))
    if labels is not None:
        wrong = sorted(values.keys() - labels)
        if wrong:
            faults.append(
                Fault('label-range', path, f'no class has {first_ten(list(map(str, wrong)))}')
            )
    return Inspection(path, size, tuple(faults), values=values)


def _read(path: str, folder: str | None = None) -> bytes:
    try:
        if not stat.S_ISREG(os.stat(path).st_mode):  # reading a pipe would never end
            raise _BrokenFileError('unreadable', 'no regular file')
        data = Path(path).read_bytes()
    except FileNotFoundError:
        raise _BrokenFileError('missing-file', f'does not exist{nearest(path, folder)}') from None
    except (OSError, ValueError) as error:  # ValueError: no file can have this name
        raise _BrokenFileError('unreadable', str(error)) from None
    if not data:
        raise _BrokenFileError('empty-file', '0 bytes')
    return data


def _header(data: bytes) -> Image.Image | None:
    """The image as Pillow opens it, undecoded; None for a format that it does not know."""
    try:
        return open_image(data)
    except Exception as error:  # what a broken file makes Pillow raise is not bounded
        raise _BrokenFileError('damaged', str(error)) from None


def _decode(reading: Reading, data: bytes) -> Pixels:
    try:
        return reading.pixels(data)
    except BrokenImageError as error:
        known = _header(data) is not None
        raise _BrokenFileError('damaged' if known else 'not-an-image', str(error)) from None


def _labels(data: bytes) -> tuple[str, Pixels]:
    """Pillow's mode of a label map, and its values as mmseg reads them."""
    image = _header(data)
    if image is None:
        raise _BrokenFileError('not-an-image', 'no format that Pillow reads, as mmseg does')
    try:
        return image.mode, np.asarray(image)
    except Exception as error:  # as above
        raise _BrokenFileError('damaged', str(error)) from None


def _extent(pixels: Pixels) -> tuple[float, float]:
    finite = pixels[np.isfinite(pixels)] if pixels.dtype.kind == 'f' else pixels
    return (float(finite.min()), float(finite.max())) if finite.size else (0.0, 0.0)


def _digest(pixels: Pixels) -> bytes:
    digest = hashlib.blake2b(repr(pixels.shape).encode(), digest_size=16)
    digest.update(np.ascontiguousarray(pixels).data)
    return digest.digest()


def _suffix_faults(path: str, header: Image.Image | None) -> tuple[Fault, ...]:
    form = header.format if header is not None else None
    suffix = Path(path).suffix.lower()
    named = Image.registered_extensions().get(suffix, form)
    if form in (None, named) or (named, form) == ('JPEG', 'MPO'):
        return ()
    return (Fault('wrong-suffix', path, f'holds {form}, {suffix} is for {named}'),)


def _frame_faults(path: str, header: Image.Image | None) -> tuple[Fault, ...]:
    frames = num_frames(header)
    return (Fault('frames', path, f'holds {frames} frames or pages'),) if frames > 1 else ()
