"""Images with an EXIF orientation: whether their labels are of the turned or the stored pixels."""

from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import cv2
import numpy as np

from ..loading.headers import Pixels, orientation, turn
from ..loading.reading import Reading
from .faults import Inspection
from .findings import Report
from .processes import Inspector

# Edges of labels lie on edges of the image; a reading fits better if that holds 1.2 times as much.
_CLEAR = float(np.log(1.2))
_BLUR = 1.5  # pixels, against noise


def check_turned(
    report: Report,
    inspector: Inspector,
    found: Mapping[str, Inspection],
    draw_labels: Callable[[str], Pixels | None],
    folder: str,
) -> None:
    """Compare the labels of images that have an orientation with both readings of the image."""
    turned = [path for path, one in found.items() if one.orientation != 1 and one.size is not None]
    if not turned:
        return
    reading = report.reading
    inspect = partial(_compare, draw_labels=draw_labels, reading=reading)
    inspections = inspector.inspect(inspect, turned, 'turned images')
    gains = {one.path: one.gain for one in inspections if one.gain is not None}
    other = sorted(path for path, gain in gains.items() if gain > _CLEAR)
    num_same = sum(gain < -_CLEAR for gain in gains.values())
    kinds = Counter(found[path].orientation for path in turned)
    what = ', '.join(f'{number} of orientation {one}' for one, number in sorted(kinds.items()))
    has = f'{len(turned)} of {len(found)} images have an EXIF orientation ({what})'
    read, others = ('turned', 'stored') if reading.turns else ('stored', 'turned')
    if len(other) > num_same:
        color_type = 'color_ignore_orientation' if reading.turns else 'color'
        detail = (
            f'{has}. Training reads their {read} pixels, but labels fit the {others} ones better '
            f'in {len(other)} of the {len(gains)} that can be compared: '
            f'set {color_type=} of each LoadImageFromFile'
        )
        report.add('orientation', folder, detail)
        return
    for path in other:
        detail = (
            f'its labels fit the {others} pixels, those of {num_same} other images with an EXIF '
            f'orientation the {read} ones, as they are read'
        )
        report.add('orientation', path, detail)
    if gains and not num_same:
        report.add('unclear-orientation', folder, f'{has}. Training reads their {read} pixels')


def explain_size(inspection: Inspection, labelled: tuple[float, float]) -> str:
    """Return the end of a message on a size: that the labels are of the stored pixels, if so."""
    size = inspection.size
    if size is None or size[::-1] != labelled:
        return ''
    if inspection.orientation < 5:
        return '; width and height are swapped'
    return (
        f'; EXIF orientation {inspection.orientation} turns it, and the labels are of the other '
        f'reading: set color_type of each LoadImageFromFile, see `orientation`'
    )


def _compare(
    path: str, draw_labels: Callable[[str], Pixels | None], reading: Reading
) -> Inspection:
    """Inspect by how much labels fit the other reading better, as a logarithm."""
    try:
        data, labels = Path(path).read_bytes(), draw_labels(path)
        stored = replace(reading, color_type='color_ignore_orientation').decode(data)
    except Exception:  # named already by those who look for it
        return Inspection(path)
    upright = turn(stored, orientation(data))
    if labels is None or labels.shape != stored.shape[:2] or labels.shape != upright.shape[:2]:
        return Inspection(path)
    fits = _fit(upright, labels), _fit(stored, labels)
    if None in fits:
        return Inspection(path)
    gain = float(np.log(fits[1] / fits[0]))
    return Inspection(path, gain=gain if reading.turns else -gain)


def _fit(image: Pixels, labels: Pixels) -> Any:
    """How much stronger edges are where labels change than elsewhere; None if nowhere."""
    smooth = cv2.GaussianBlur(image, (0, 0), _BLUR).astype(np.float32)
    strengths, changes = [], []
    for axis in (0, 1):
        strengths.append(np.abs(np.diff(smooth, axis=axis)).sum(axis=2).ravel())
        changes.append((np.diff(labels.astype(np.int64), axis=axis) != 0).ravel())
    strength, change = np.concatenate(strengths), np.concatenate(changes)
    if not change.any() or strength.mean() == 0:
        return None
    return max(float(strength[change].mean() / strength.mean()), 1e-3)
