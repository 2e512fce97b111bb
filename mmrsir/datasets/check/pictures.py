"""Check of a data set's images, one by one and all together."""

from collections.abc import Generator, Iterator, Mapping, Sequence
from functools import partial

import numpy as np

from ..loading.reading import Reading, range_hint
from .faults import Fault, Inspection
from .images import inspect_image
from .processes import Inspector

_NEARLY_BLACK = 16  # of 255: where nothing is brighter in all of a data set
_DARK = 64


def check_pictures(
    inspector: Inspector,
    paths: Sequence[str],
    reading: Reading,
    folder: str,
) -> Generator[Fault, None, dict[str, Inspection]]:
    """Decode the images of a data set."""
    found: dict[str, Inspection] = {}
    inspect = partial(inspect_image, reading=reading, folder=folder)
    for inspection in inspector.inspect(inspect, paths, 'images'):
        found[inspection.path] = inspection
        yield from inspection.faults
    for dtype in ('uint8', 'uint16', 'int16', 'int32', 'float32', 'float64'):
        alike = [one for one in found.values() if one.size is not None and one.dtype == dtype]
        if alike:
            yield from _range_faults(alike, dtype, reading, folder)
    return found


def digests(found: Mapping[str, Inspection]) -> dict[str, bytes]:
    """Return the digest of each image that was decoded."""
    return {path: one.digest for path, one in found.items() if one.digest is not None}


def _range_faults(
    images: Sequence[Inspection], dtype: str, reading: Reading, folder: str
) -> Iterator[Fault]:
    """Faults of all images of a type together: a single one may well be dark."""
    low = min(image.extent[0] for image in images)
    high = max(image.extent[1] for image in images)
    black, white = 0.0, float(np.iinfo(dtype).max) if dtype.startswith('u') else 0.0
    if dtype != 'uint8' and reading.value_range is not None:
        black, white = reading.value_range
    if white <= black:  # of signed values and floats without a range each image is named
        return
    brightest = 255 * (high - black) / (white - black)
    what = f'the {len(images)} images of {dtype} have values from {low:g} to {high:g}'
    if brightest < _DARK:
        kind = 'value-range' if brightest < _NEARLY_BLACK else 'dark'
        if dtype == 'uint8':
            if kind == 'value-range':
                yield Fault(kind, folder, f'{what}, nearly black; save them with values to 255')
            return
        yield Fault(
            kind,
            folder,
            f'{what} of {black:g} to {white:g}, so none is brighter than {brightest:.0f} of 255 '
            f'when it is read: {range_hint(low, high)}',
        )
    elif low >= white or (dtype != 'uint8' and high > 2 * white - black):
        yield Fault(
            'dark' if low < white else 'value-range',
            folder,
            f'{what}, but value_range={reading.value_range}: what is above becomes white',
        )
