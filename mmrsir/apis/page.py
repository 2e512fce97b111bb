"""What the web page of ``demo/app.py`` answers, apart from the page.

Pictures come from the browser and go back to it as data URLs: nothing is written to disk, and
nothing is kept between two requests.
"""

import base64
from io import BytesIO
from typing import Any

import numpy as np
import torch
from PIL import Image

from ..datasets.loading.reading import Reading, ValueRangeError
from ..models import PyramidTransformer
from ..utils.errors import InvalidTypeError, UserError
from ..visualization.backbone import normalize
from ..visualization.blocks import place, render_block
from .predictor import Predictor

FORMATS = ('BMP', 'JPEG', 'PNG', 'WEBP')
MAX_MEGABYTES = 20
MAX_MEGAPIXELS = 50
SEARCHED_SIDE = 1600  # pixels of the longer side, to which larger pictures are shrunk
TRACED_SIDE = 448


class UnusablePictureError(UserError, ValueError):
    """A picture that cannot be used; the message is for who chose it."""


def read_url(url: str, reading: Reading | None = None) -> Image.Image:
    """Read a picture that a browser sent.

    Args:
        url: Data URL of a file; empty where the browser found the file too large to be sent.
        reading: How images are read; None: as by default.

    Returns:
        The picture, with the pixels that training and tests see, RGB.

    Raises:
        UnusablePictureError: It is too large, no picture, broken, or of an unknown range of values.
    """
    if not url:
        raise UnusablePictureError(f'The file has more than {MAX_MEGABYTES} megabytes.')
    try:
        data = base64.b64decode(url.partition(',')[2])
        with Image.open(BytesIO(data), formats=FORMATS) as header:
            megapixels = header.width * header.height / 1e6
        if megapixels <= MAX_MEGAPIXELS:
            pixels = (reading or Reading()).decode(data)
            return Image.fromarray(np.ascontiguousarray(pixels[..., ::-1]))
    except Image.DecompressionBombError:
        pass
    except ValueRangeError as error:
        raise UnusablePictureError(f'This picture cannot be shown: {error}.') from error
    except Exception as error:  # what Pillow raises of broken files is not bounded
        raise UnusablePictureError(
            f'This file is broken, or not a picture ({", ".join(FORMATS)}), or it is broken.'
        ) from error
    raise UnusablePictureError(f'The picture has more than {MAX_MEGAPIXELS} megapixels.')


def to_url(picture: np.ndarray) -> str:
    """Return a picture as the data URL of a PNG, from which :func:`read_url` reads the same pixels.

    Args:
        picture: RGB, uint8, (H, W, 3).
    """
    content = BytesIO()
    Image.fromarray(picture).save(content, 'PNG', compress_level=1)
    return f'data:image/png;base64,{base64.b64encode(content.getvalue()).decode()}'


def to_table(found: list[dict[str, Any]]) -> str:
    """Return what was found as a table in Markdown.

    Args:
        found: As in :class:`.Prediction`.
    """
    if not found:
        return 'Nothing was found.'
    rows = [list(found[0]), ['---'] * len(found[0]), *(one.values() for one in found)]
    return '\n'.join(f'| {" | ".join(map(str, row))} |' for row in rows)


def shrink(picture: Image.Image, side: int) -> np.ndarray:
    """Return a picture whose longer side has at most so many pixels.

    Args:
        picture: The picture, RGB.
        side: Pixels.

    Returns:
        RGB, uint8, (H, W, 3).
    """
    smaller = picture.copy()
    smaller.thumbnail((side, side), Image.Resampling.BICUBIC)
    return np.array(smaller)


class Viewer:
    """Shows what a model finds in pictures, and what any point of them sees.

    Args:
        predictor: The model.

    Attributes:
        num_blocks: Blocks of its backbone.
        reading: How its config reads images.

    Raises:
        TypeError: Its backbone is none of ours, which alone can be traced.
    """

    def __init__(self, predictor: Predictor) -> None:
        backbone = predictor.model.backbone
        if not isinstance(backbone, PyramidTransformer):
            raise InvalidTypeError(
                f'model.backbone.type={type(backbone).__name__} cannot be traced; '
                'allowed: RSIRTransformer, PyramidTransformer'
            )
        self.num_blocks = sum(backbone.depths)
        self.reading = predictor.reading
        self._backbone = backbone
        self._predictor = predictor

    def search(self, picture: Image.Image) -> tuple[str, str]:
        """Predict for a picture.

        Args:
            picture: The picture, RGB.

        Returns:
            The picture with what was found, a data URL, and the table of it in Markdown.
        """
        prediction = self._predictor(shrink(picture, SEARCHED_SIDE))
        return to_url(prediction.drawn), to_table(prediction.found)

    def look(self, picture: Image.Image, point: tuple[float, float], block: int) -> str:
        """Draw what a point sees in a block.

        Args:
            picture: The picture, RGB.
            point: (x, y) as shares of width and height, 0 to 1.
            block: Number of the block, from 1.

        Returns:
            The block's windows, attention and importance over the picture, a data URL.
        """
        pixels = shrink(picture, TRACED_SIDE)
        height, width = pixels.shape[:2]
        x, y = (
            min(int(share * size), size - 1)
            for share, size in zip(point, (width, height), strict=True)
        )
        device = next(self._backbone.parameters()).device
        with torch.no_grad():
            images = normalize(pixels, self._predictor.cfg).to(device)
            traces = self._backbone.trace(images, (x, y))
        return to_url(render_block(pixels, place(traces)[block - 1]))
