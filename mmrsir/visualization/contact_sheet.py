"""Several pictures on one sheet."""

from collections.abc import Sequence
from pathlib import Path
from textwrap import fill

from matplotlib.figure import Figure
from matplotlib.image import imread

from ..utils.errors import InvalidValueError
from .fonts import fonts_for

CAPTION_WIDTH = 36  # letters of a line below a picture


def contact_sheet(
    pictures: Sequence[str | Path],
    out_file: str | Path,
    columns: int,
    title: str,
    captions: Sequence[str] = (),
) -> None:
    """Lay out pictures in a grid, whose cells have the shape of the first; captions stand below."""
    if not pictures:
        raise InvalidValueError(f'no pictures for {out_file}')
    if captions and len(captions) != len(pictures):
        raise InvalidValueError(f'{len(captions)} captions for {len(pictures)} pictures')
    columns = min(columns, len(pictures))
    rows = -(-len(pictures) // columns)
    height, width = imread(pictures[0]).shape[:2]
    cell = 3.0  # inches, the width of a picture
    captions = [fill(one, CAPTION_WIDTH) for one in captions]
    num_lines = max((one.count('\n') + 1 for one in captions), default=0)
    cell_height = cell * height / width + 0.17 * num_lines + 0.1
    with fonts_for([title, *captions]):
        figure = Figure(figsize=(cell * columns, cell_height * rows + 0.4), layout='constrained')
        figure.suptitle(fill(title, 32 * columns))  # as many letters as fit
        for index, picture in enumerate(pictures):
            axes = figure.add_subplot(rows, columns, index + 1)
            axes.imshow(imread(picture))
            axes.set(xticks=[], yticks=[])
            axes.spines[:].set_visible(False)
            if captions:
                axes.set_xlabel(captions[index], fontsize='small')
        figure.savefig(out_file, dpi=120)
