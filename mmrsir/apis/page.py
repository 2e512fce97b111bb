"""What the web page of ``demo/app.py`` answers, apart from the page."""

import math
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch
from PIL import Image, ImageDraw

from ..datasets.loading.headers import open_image
from ..datasets.loading.reading import Reading, ValueRangeError, describe_values, is_nearly_black
from ..utils.errors import UserError
from ..visualization.backbone import check_traceable, normalize, shrink
from ..visualization.blocks import VIEWS, place, render_block
from .predictor import Predictor

MAX_MEGABYTES = 100
MAX_MEGAPIXELS = 100
SEARCHED_SIDE = 1600  # pixels of the longer side, to which larger pictures are shrunk
TRACED_SIDE = 448
_MARK = 0.02  # radius of the mark of a point, as a share of the longer side


class UnusablePictureError(UserError, ValueError):
    """A picture that cannot be used; the message is for who chose it."""


class Picture(NamedTuple):
    """A picture as the page keeps it."""

    pixels: np.ndarray  # RGB, uint8, (H, W, 3); the longer side has at most SEARCHED_SIDE pixels
    scale: float  # pixels of the file for one of these


def read_upload(path: str | Path, reading: Reading) -> Picture:
    """Read a picture that a browser sent, with the pixels that training and tests see.

    Raises:
        UnusablePictureError: It has too many pixels, is no picture, is broken, or its values of
            black and white are unknown.
    """
    data = Path(path).read_bytes()
    try:
        header = open_image(data)
        megapixels = 0 if header is None else header.width * header.height / 1e6
        if megapixels > MAX_MEGAPIXELS:
            raise UnusablePictureError(
                f'The picture has {megapixels:.0f} megapixels; allowed: {MAX_MEGAPIXELS}. '
                'Shrink it, or use demo/image_demo.py, which takes any size.'
            )
        stored = reading.pixels(data)
        if reading.value_range is None and is_nearly_black(stored):
            raise ValueRangeError(f'it is nearly black: {describe_values(stored)}')
        pixels = np.ascontiguousarray(reading.to_eight_bits(stored)[..., ::-1])
    except UnusablePictureError:
        raise
    except ValueRangeError as error:
        raise UnusablePictureError(f'This picture cannot be shown: {error}.') from error
    except Exception as error:  # what a broken file makes Pillow raise is not bounded
        raise UnusablePictureError(
            f'This file is broken, or its format is unknown ({error}). '
            'Save the picture as PNG or JPEG.'
        ) from error
    smaller = shrink(pixels, SEARCHED_SIDE)
    return Picture(smaller, pixels.shape[1] / smaller.shape[1])


def mark(picture: np.ndarray, point: tuple[float, float]) -> np.ndarray:
    """Draw a ring around a point, (x, y) as shares of width and height, into a copy."""
    marked = Image.fromarray(picture)
    center = [share * size for share, size in zip(point, marked.size, strict=True)]
    radius = max(_MARK * max(marked.size), 3)
    for color, width in (('white', radius), ('red', radius / 2)):  # seen on any background
        ImageDraw.Draw(marked).circle(center, radius, outline=color, width=math.ceil(width / 2))
    return np.array(marked)


class Viewer:
    """Shows what a model finds in pictures, and what any point of them sees.

    Raises:
        TypeError: The model's backbone is none of ours, which alone can be traced.
    """

    def __init__(self, predictor: Predictor) -> None:
        backbone = predictor.model.backbone
        check_traceable(type(backbone), type(backbone).__name__)
        self.num_blocks = sum(backbone.depths)
        self.reading = predictor.reading
        self._backbone = backbone
        self._predictor = predictor

    def search(self, picture: Picture, score_thr: float) -> tuple[np.ndarray, list[list[Any]]]:
        """Return a picture with what was found in it, and the table of :func:`to_table`."""
        prediction = self._predictor(picture.pixels, score_thr)
        return prediction.drawn, to_table(prediction.found, picture.scale)

    def look(
        self, picture: Picture, point: tuple[float, float], block: int
    ) -> tuple[str, list[np.ndarray | None]]:
        """Draw what a point sees in a block, whose number counts from 1.

        The point is (x, y) as shares of width and height, 0 to 1. Returns the title of the block,
        and a picture for each of :data:`.VIEWS`; None where the block has nothing of that kind.
        """
        pixels = shrink(picture.pixels, TRACED_SIDE)
        height, width = pixels.shape[:2]
        x, y = min(int(point[0] * width), width - 1), min(int(point[1] * height), height - 1)
        device = next(self._backbone.parameters()).device
        with torch.no_grad():
            images = normalize(pixels, self._predictor.cfg).to(device)
            traces = self._backbone.trace(images, (x, y))
        placed = place(traces)[block - 1]
        return placed.title, [
            None if view.paint(placed.trace) is None else render_block(pixels, placed, (name,))
            for name, view in VIEWS.items()
        ]


def to_table(found: list[dict[str, Any]], scale: float = 1) -> list[list[Any]]:
    """Return a row of headings and one for each of what was found, as in :class:`.Prediction`.

    Boxes are multiplied by ``scale``.
    """
    if not found:
        return [['nothing found']]
    rows = [
        [
            ', '.join(f'{side * scale:.0f}' for side in cell) if isinstance(cell, list) else cell
            for cell in one.values()
        ]
        for one in found
    ]
    return [list(found[0]), *rows]
