"""Strict decoding of images and label maps: one by one, and what all images have in common."""

import hashlib
import os
import stat
from collections.abc import Sequence
from functools import partial
from pathlib import Path

import numpy as np
from PIL import Image

from ...utils.listing import first_ten
from ...utils.missing import nearest
from ..loading.headers import Pixels, num_frames, open_image, orientation
from ..loading.jpeg import SUPERFLUOUS, BrokenImageError, capture_standard_error
from ..loading.reading import Reading, ValueRangeError, describe_values, range_hint
from .faults import Inspection
from .findings import Report
from .processes import Inspector

_NEARLY_BLACK = 16  # of 255: where nothing is brighter in all of a data set
_DARK = 64


class _BrokenFileError(Exception):
    """A file that is no whole image: its kind of fault, and the detail."""

    def __init__(self, kind: str, detail: str) -> None:
        self.found = {kind: detail}


def inspect_image(path: str, reading: Reading, folder: str | None = None) -> Inspection:
    try:
        data = _read(path, folder)
        header = _header(data)
        pixels, said = capture_standard_error(partial(_decode, reading, data))
    except _BrokenFileError as broken:
        return Inspection.of(path, broken.found)
    found = _compare_suffix(path, header)
    frames = num_frames(header)
    if frames > 1:
        found['frames'] = f'holds {frames} frames or pages'
    if SUPERFLUOUS.search(said):
        found['superfluous'] = said.decode(errors='replace').strip()
    try:
        reading.to_eight_bits(pixels[:1, :1])
    except ValueRangeError:
        found['value-range'] = describe_values(pixels)
    finite = pixels[np.isfinite(pixels)] if pixels.dtype.kind == 'f' else pixels
    digest = hashlib.blake2b(repr(pixels.shape).encode(), digest_size=16)
    digest.update(np.ascontiguousarray(pixels).data)
    return Inspection.of(
        path,
        found,
        size=(pixels.shape[1], pixels.shape[0]),
        digest=digest.digest(),
        orientation=orientation(data),
        dtype=str(pixels.dtype),
        extent=(float(finite.min()), float(finite.max())) if finite.size else (0.0, 0.0),
    )


def check_images(
    report: Report, inspector: Inspector, paths: Sequence[str], folder: str
) -> dict[str, Inspection]:
    """Decode the images of a data set, and return what was seen by path."""
    found: dict[str, Inspection] = {}
    inspect = partial(inspect_image, reading=report.reading, folder=folder)
    for inspection in inspector.inspect(inspect, paths, 'images'):
        found[inspection.path] = inspection
        report.faults += inspection.faults
        if inspection.digest is not None:
            report.digests[inspection.path] = inspection.digest
    for dtype in ('uint8', 'uint16', 'int16', 'int32', 'float32', 'float64'):
        alike = [one for one in found.values() if one.size is not None and one.dtype == dtype]
        finding = _range_finding(alike, dtype, report.reading) if alike else None
        if finding:
            report.add(finding[0], folder, finding[1])
    return found


def _range_finding(
    images: Sequence[Inspection], dtype: str, reading: Reading
) -> tuple[str, str] | None:
    """Look at all images of a type together: a single one may well be dark."""
    low = min(image.extent[0] for image in images)
    high = max(image.extent[1] for image in images)
    black, white = 0.0, float(np.iinfo(dtype).max) if dtype.startswith('u') else 0.0
    if dtype != 'uint8' and reading.value_range is not None:
        black, white = reading.value_range
    if white <= black:  # of signed values and floats without a range each image is named
        return None
    brightest = 255 * (high - black) / (white - black)
    what = f'the {len(images)} images of {dtype} have values from {low:g} to {high:g}'
    if dtype == 'uint8' and brightest < _NEARLY_BLACK:
        return 'value-range', f'{what}, nearly black; save them with values to 255'
    if dtype != 'uint8' and brightest < _DARK:
        return (
            'value-range' if brightest < _NEARLY_BLACK else 'dark',
            f'{what} of {black:g} to {white:g}, so none is brighter than {brightest:.0f} of 255 '
            f'when it is read: {range_hint(low, high)}',
        )
    if dtype == 'uint16' and reading.value_range is None:
        dim = [image.path for image in images if image.extent[1] < 1 << 12]
        if dim:
            detail = f'{len(dim)} of the {len(images)} images of {dtype} have no value over 4095'
            return 'dark', f'{detail}, nearly black beside the others: the first is {min(dim)}'
    elif low >= white or (dtype != 'uint8' and high > 2 * white - black):
        return (
            'dark' if low < white else 'value-range',
            f'{what}, but value_range={reading.value_range}: what is above becomes white',
        )
    return None


def inspect_label_map(path: str, labels: frozenset[int] | None) -> Inspection:
    try:
        data = _read(path)
        header = _header(data)
        _decode(Reading('unchanged'), data)
        mode, pixels = _labels(data)
    except _BrokenFileError as broken:
        return Inspection.of(path, broken.found)
    found = _compare_suffix(path, header)
    size = pixels.shape[1], pixels.shape[0]
    if pixels.ndim != 2:
        found['several-channels'] = f'its mode is {mode}'
        return Inspection.of(path, found, size=size)
    numbers, counts = np.unique(pixels, return_counts=True)
    values = dict(zip(numbers.tolist(), counts.tolist(), strict=True))
    wrong = sorted(values.keys() - labels) if labels is not None else []
    if labels is not None and wrong:
        *_, last = allowed = sorted(labels)
        found['label-range'] = (
            f'no class has {first_ten(list(map(str, wrong)))}; allowed: '
            f'0 to {len(allowed) - 2}, and {last} for no class'
        )
        if header is not None and header.format == 'JPEG':
            found['label-range'] += '. JPEG changes values: save label maps as PNG'
    return Inspection.of(path, found, size=size, values=values)


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


def _compare_suffix(path: str, header: Image.Image | None) -> dict[str, str]:
    form = header.format if header is not None else None
    suffix = Path(path).suffix.lower()
    named = Image.registered_extensions().get(suffix, form)
    if form in (None, named) or (named, form) == ('JPEG', 'MPO'):
        return {}
    return {'wrong-suffix': f'holds {form}, {suffix} is for {named}'}
