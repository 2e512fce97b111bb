"""Annotations of the synthetic shapes: COCO polygons and run lengths, and ADE20K label maps."""

from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from .drawing import CLASSES, SUBPIXELS, Mask, contour_area
from .scene import Scene

# As in COCO itself, whose 80 classes have ids up to 90, an id minus 1 is not the class index.
CATEGORY_IDS: tuple[int, ...] = (1, 2, 4, 7)

# Label map values: 0 is ignored (`reduce_zero_label=True`), class index k has k + 1, and the
# background comes last.
IGNORED_LABEL = 0
BACKGROUND_LABEL = len(CLASSES) + 1

# What is left out of the annotations, in pixels and as a fraction: pieces and whole objects too
# small or too hidden for an annotator to draw, and holes.
LEAST_PIECE = 10.0
LEAST_AREA = 60.0
LEAST_VISIBLE = 0.25
LEAST_HOLE = 4.0

# How far, in fine pixels, a polygon may stray from the outline to save corners.
_TOLERANCE = 1.0


def _window(mask: Mask) -> tuple[slice, slice]:
    """The rows and columns that hold all ones of a fine mask, rounded to whole picture pixels."""
    x, y, width, height = cv2.boundingRect(mask)
    rows, columns = (
        slice(first // SUBPIXELS * SUBPIXELS, -(-end // SUBPIXELS) * SUBPIXELS)
        for first, end in ((y, y + height), (x, x + width))
    )
    return rows, columns


def _pieces(mask: Mask) -> list[Mask]:
    """The connected pieces of a fine mask that are large enough to draw, in raster order."""
    count, labels, stats, _ = cv2.connectedComponentsWithStats(mask, connectivity=4)
    least = LEAST_PIECE * SUBPIXELS**2
    return [
        (labels == i).astype(np.uint8)
        for i in range(1, count)
        if stats[i, cv2.CC_STAT_AREA] >= least
    ]


def _outer_contour(piece: Mask) -> NDArray[np.int32]:
    """The outer contour of one piece, along the edges of its fine pixels, not their centres."""
    # OpenCV joins the centres of border pixels, half a pixel inside the true edge. Growing every
    # pixel by one to the right and down turns pixels into their corners, whose contour is the edge.
    padded = cv2.copyMakeBorder(piece, 1, 1, 1, 1, cv2.BORDER_CONSTANT, value=(0,))
    corners = cv2.dilate(padded, np.ones((2, 2), np.uint8), anchor=(1, 1))
    contours, _ = cv2.findContours(corners, cv2.RETR_EXTERNAL, cv2.CHAIN_APPROX_NONE)
    return np.asarray(max(contours, key=cv2.contourArea), np.int32) - 1


def _largest_hole(piece: Mask) -> tuple[int, int] | None:
    """First and last-plus-one column of the largest hole worth drawing, if there is one."""
    outside = cv2.copyMakeBorder(piece, 1, 1, 1, 1, cv2.BORDER_CONSTANT, value=(0,))
    count, _, stats, _ = cv2.connectedComponentsWithStats(1 - outside, connectivity=4)
    # Component 1 holds the corner of the padding: it is what surrounds the piece.
    if count <= 2:
        return None
    hole = 2 + int(np.argmax(stats[2:, cv2.CC_STAT_AREA]))
    if stats[hole, cv2.CC_STAT_AREA] < LEAST_HOLE * SUBPIXELS**2:
        return None
    left = int(stats[hole, cv2.CC_STAT_LEFT]) - 1
    return left, left + int(stats[hole, cv2.CC_STAT_WIDTH])


def mask_polygons(mask: Mask) -> list[list[float]]:
    """Trace a region as polygons; COCO's cannot have holes, so a ring is cut into two."""
    polygons = []
    rows, columns = _window(mask)
    offset = np.array([columns.start, rows.start])
    pending = _pieces(mask[rows, columns].copy())[::-1]
    while pending:
        piece = pending.pop()
        hole = _largest_hole(piece)
        if hole is not None:
            # Between two pixels of the picture if the hole is wide enough: the cut leaves no seam.
            cut = (hole[0] + hole[1]) // (2 * SUBPIXELS) * SUBPIXELS
            cut = cut if hole[0] < cut < hole[1] else (hole[0] + hole[1]) // 2
            left, right = piece.copy(), piece.copy()
            left[:, cut:] = 0
            right[:, :cut] = 0
            pending += _pieces(right)[::-1] + _pieces(left)[::-1]
            continue
        contour = cv2.approxPolyDP(_outer_contour(piece), _TOLERANCE, True)[:, 0]
        polygons.append(((contour + offset) / SUBPIXELS).ravel().tolist())
    return polygons


def polygon_area(polygon: list[float]) -> float:
    return contour_area(np.reshape(polygon, (-1, 2)))


def run_lengths(mask: Mask) -> list[int]:
    """COCO's uncompressed run lengths: down the columns, zeros and ones in turn, zeros first."""
    flat = mask.ravel(order='F')
    changes = np.flatnonzero(np.diff(flat)) + 1
    bounds = np.concatenate([[0], changes, [flat.size]])
    lengths = np.diff(bounds).tolist()
    return [0, *lengths] if flat[0] else lengths


def _at_pixel_centres(fine: NDArray[np.uint8]) -> NDArray[np.uint8]:
    return fine[SUBPIXELS // 2 :: SUBPIXELS, SUBPIXELS // 2 :: SUBPIXELS]


def _crowd_annotation(visible: Mask) -> dict[str, Any]:
    mask = _at_pixel_centres(visible)
    return {
        'iscrowd': 1,
        'area': float(mask.sum()),
        'bbox': [float(one) for one in cv2.boundingRect(mask)],
        'segmentation': {'counts': run_lengths(mask), 'size': list(mask.shape)},
    }


def _object_annotation(polygons: list[list[float]]) -> dict[str, Any]:
    corners = np.concatenate([np.reshape(p, (-1, 2)) for p in polygons])
    low, high = corners.min(axis=0), corners.max(axis=0)
    return {
        'iscrowd': 0,
        'area': sum(polygon_area(p) for p in polygons),
        'bbox': [*low.tolist(), *(high - low).tolist()],
        'segmentation': polygons,
    }


def annotate(scene: Scene) -> tuple[list[dict[str, Any]], NDArray[np.uint8]]:
    """Annotate what is visible, in both formats.

    Objects that are mostly hidden have no COCO annotation, and like pieces too small to draw they
    are ignored in the label map; so is the ground between the shapes of a crowd, and a rim of one
    pixel around every object.
    """
    annotations: list[dict[str, Any]] = []
    table = np.zeros(256, np.uint8)
    table[0] = BACKGROUND_LABEL
    layers = scene.layers.copy()
    for instance in scene.instances:
        if scene.visible_area(instance) < max(LEAST_AREA, LEAST_VISIBLE * instance.area):
            continue
        visible = scene.visible(instance).astype(np.uint8)
        category = {'category_id': CATEGORY_IDS[instance.label]}
        if instance.crowd:
            table[instance.layers.start + 1 : instance.layers.stop] = instance.label + 1
            annotations.append(category | _crowd_annotation(visible))
            continue
        polygons = mask_polygons(visible)
        if not polygons:
            continue
        table[instance.layers.start] = instance.label + 1
        annotations.append(category | _object_annotation(polygons))
        rows, columns = _window(visible)
        scraps = visible[rows, columns].copy()
        for piece in _pieces(scraps):
            scraps -= piece
        layers[rows, columns][scraps > 0] = 255
    labels = table[_at_pixel_centres(layers)]
    front = _at_pixel_centres(scene.layers)
    cross = cv2.getStructuringElement(cv2.MORPH_CROSS, (3, 3))
    labels[cv2.dilate(front, cross) > front] = IGNORED_LABEL
    return annotations, labels
