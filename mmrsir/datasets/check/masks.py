"""The masks of COCO annotations: whether they are masks, and where their boxes are."""

import re
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, NamedTuple

import cv2
import numpy as np

from ..loading.headers import Pixels
from .records import Finding, Record, is_number

_LEAST_COORDINATES = 6  # a triangle
_RUNS = re.compile(r'[0-o]+\Z')  # what compressed run lengths consist of
_LEAST_OVERLAP = 0.5  # IoU of the extents of a mask and its box
# How far the edges of a mask may lie from those of its box: pixels, and a share of the longer side.
_TOLERANCE = (2.0, 0.05)


class _Extent(NamedTuple):
    left: float
    top: float
    right: float
    bottom: float

    @property
    def width(self) -> float:
        return self.right - self.left

    @property
    def height(self) -> float:
        return self.bottom - self.top

    @property
    def area(self) -> float:
        return max(self.width, 0) * max(self.height, 0)

    def __str__(self) -> str:
        return f'x {self.left:g} to {self.right:g}, y {self.top:g} to {self.bottom:g}'

    def within(self, other: '_Extent') -> '_Extent':
        """Return the part that lies in another one; its area is 0 if there is none."""
        return _Extent(
            max(self.left, other.left),
            max(self.top, other.top),
            min(self.right, other.right),
            min(self.bottom, other.bottom),
        )

    def fits(self, edges: Iterable[float]) -> bool:
        """Whether other edges are where these are."""
        pixels, share = _TOLERANCE
        tolerance = pixels + share * max(self.width, self.height)
        return all(abs(one - two) <= tolerance for one, two in zip(self, edges, strict=True))

    def overlap(self, other: '_Extent') -> float:
        common = self.within(other).area
        whole = self.area + other.area - common
        return common / whole if whole else 0.0


def mask_finding(annotation: Record, width: float, height: float) -> Finding | None:
    """Check the mask of an annotation, and compare its place with that of the box."""
    mask = annotation.get('segmentation')
    if not mask:  # as mmdet asks
        return 'no-mask', f'segmentation={mask!r}'
    if isinstance(mask, dict):
        kind, problem = 'bad-rle', _run_length_problem(mask, width, height)
    else:
        kind, problem = 'bad-polygon', _polygon_problem(mask)
    if problem:
        return kind, problem
    return _place_finding(_extent(mask), annotation['bbox'], width, height)


def form_problem(mask: Any, width: float, height: float) -> str:
    """Say why a mask cannot be read, or is of another image; '' where it is none of both.

    It takes about a microsecond, and leaves out what :func:`mask_finding` sees in all numbers.
    """
    if isinstance(mask, dict):
        counts = mask.get('counts')
        readable = isinstance(counts, list) or (isinstance(counts, str) and _RUNS.match(counts))
        sound = mask.get('size') == [height, width] and readable
        return '' if sound else _run_length_problem(mask, width, height)
    first = mask[0] if isinstance(mask, list) and mask else None
    if isinstance(first, list) and first and is_number(first[0]):
        return ''
    return _polygon_problem(mask)


def decode_runs(mask: Record) -> Pixels:
    """Decode run lengths, compressed or not, to (H, W)."""
    from pycocotools import mask as coco_mask  # without mmdet it may be absent

    return coco_mask.decode(_pack(mask))


def draw_objects(
    labels_of: Mapping[str, tuple[Record, Sequence[Record]]], path: str
) -> Pixels | None:
    """Draw an image's objects, by mask or else box: their numbers, (H, W); None without objects."""
    image, objects = labels_of[path]
    height, width = int(image['height']), int(image['width'])
    drawn = np.zeros((height, width), np.int32)
    for number, one in enumerate(objects, start=1):
        mask = one.get('segmentation')
        if isinstance(mask, dict):
            drawn[decode_runs(mask) > 0] = number
        elif mask:
            polygons = [np.reshape(polygon, (-1, 2)).round().astype(np.int32) for polygon in mask]
            cv2.fillPoly(drawn, polygons, number)
        else:
            x, y, w, h = (round(side) for side in one['bbox'])
            drawn[max(y, 0) : y + h, max(x, 0) : x + w] = number
    return drawn if objects else None


def _pack(mask: Record) -> Record:
    from pycocotools import mask as coco_mask  # as above

    return coco_mask.frPyObjects(mask, *mask['size']) if isinstance(mask['counts'], list) else mask


def _are_numbers(values: Any) -> bool:
    return isinstance(values, list) and all(map(is_number, values))


def _polygon_problem(polygons: Any) -> str:
    if not isinstance(polygons, list):
        return f'segmentation={polygons!r:.60} must be a list of polygons'
    if _are_numbers(polygons):
        return (
            f'segmentation={polygons!r:.40} is one flat list of numbers; COCO has a list of '
            'polygons: put it into a list, [[x1, y1, x2, y2, …]]'
        )
    flat = '[x1, y1, x2, y2, …]'
    for polygon in polygons:  # what ends a training comes first
        if not _are_numbers(polygon):
            points = isinstance(polygon, list) and polygon
            if points and all(_are_numbers(point) and len(point) == 2 for point in points):
                return f'{polygon!r:.40} is a list of points; COCO has flat polygons: {flat}'
            return f'{polygon!r:.60} must be a list of numbers, without quotes: {flat}'
    for polygon in polygons:
        if len(polygon) < _LEAST_COORDINATES or len(polygon) % 2:
            return f'a polygon has {len(polygon)} numbers; it needs pairs of x and y, three or more'
    return ''


def _extent(mask: Any) -> _Extent:
    if isinstance(mask, dict):
        from pycocotools import mask as coco_mask  # as above

        x, y, width, height = coco_mask.toBbox(_pack(mask)).tolist()
        return _Extent(x, y, x + width, y + height)
    x = [value for polygon in mask for value in polygon[::2]]
    y = [value for polygon in mask for value in polygon[1::2]]
    return _Extent(min(x), min(y), max(x), max(y))


def _place_finding(mask: _Extent, bbox: list[float], width: float, height: float) -> Finding | None:
    x, y, w, h = bbox
    box = _Extent(x, y, x + w, y + h)
    image = _Extent(0, 0, width, height)
    seen = mask.within(image)  # training cuts the rest off
    found = f'the mask covers {mask}, bbox={bbox} covers {box}'
    if not mask.area:
        return 'mask-box', f'the mask covers no pixel: {mask}'
    if seen.area and box.fits(seen):
        return None
    cause = _cause(mask, box, image)
    if not seen.area:
        nowhere = f'the mask covers no pixel of the {width:g} x {height:g} pixels of its image'
        return 'mask-box', f'{nowhere}: {mask}{cause}'
    # A mask may be a part of its box: of an object that something hides.
    is_part = seen.fits(seen.within(box)) and not cause
    if cause == _NORMALIZED or (seen.overlap(box) < _LEAST_OVERLAP and not is_part):
        return 'mask-box', found + cause
    return 'loose-mask', found


_NORMALIZED = '; its coordinates run from 0 to 1: multiply them by width and height of the image'


def _cause(mask: _Extent, box: _Extent, image: _Extent) -> str:
    """Return the end of a message: which usual mistake brings a mask to where it is."""
    if min(mask) >= 0 and max(mask) <= 1 < max(box.width, box.height):
        return _NORMALIZED
    if _Extent(box.left, box.top, box.width, box.height).fits(mask):
        return '; bbox seems to be two corners, COCO has x, y, width, height'
    left, top, right, bottom = mask
    edges, corner = np.array(mask), np.array([box.left, box.top] * 2)
    x, y = box.width / mask.width, box.height / mask.height
    shift = corner - [left, top] * 2
    mirrored = (left, image.bottom - bottom, right, image.bottom - top)
    usual = {
        'x and y are swapped': (top, left, bottom, right),
        'the mask seems to be counted from the corner of its box': edges + corner,
        'y seems to be counted from below': mirrored,
        f'the mask fits an image of {image.right / x:.0f} x {image.bottom / y:.0f} pixels': (
            edges * [x, y, x, y]
        ),
        f'it fits the box if moved by {shift[0]:g}, {shift[1]:g} pixels': edges + shift,
    }
    return next((f'; {said}' for said, place in usual.items() if box.fits(place)), '')


def _run_length_problem(mask: Record, width: float, height: float) -> str:
    size, counts = mask.get('size'), mask.get('counts')
    if size != [height, width]:
        return f'size={size!r:.60} must be [{height}, {width}], the height and width'
    # pycocotools decodes too few lengths without a word, with chance pixels for the rest.
    lengths = _unpack(counts) if isinstance(counts, str) else counts
    if not isinstance(lengths, list) or not all(isinstance(n, int) and n >= 0 for n in lengths):
        return f'counts={counts!r:.60} are no run lengths'
    if sum(lengths) != width * height:
        return f'counts are for {sum(lengths)} pixels, the image has {width * height}'
    return ''


def _unpack(text: str) -> list[int] | None:
    """Return the run lengths of COCO's compressed string; None if it is none.

    A character carries 5 bits of a number, lowest first, and a bit that says whether more follow;
    the top bit of the last is the sign. From the fourth on, the numbers are differences to the
    length before the last.
    """
    lengths: list[int] = []
    number = shift = 0
    for character in text:
        bits = ord(character) - 48
        if not 0 <= bits < 64 or shift > 60:
            return None
        number |= (bits & 31) << shift
        shift += 5
        if bits & 32:
            continue
        if bits & 16:
            number -= 1 << shift
        lengths.append(number + (lengths[-2] if len(lengths) > 2 else 0))
        number = shift = 0
    return None if shift else lengths
