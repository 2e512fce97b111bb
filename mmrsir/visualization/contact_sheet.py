"""Several pictures on one sheet."""

from collections.abc import Sequence
from pathlib import Path

from matplotlib.figure import Figure
from matplotlib.image import imread


def contact_sheet(
    pictures: Sequence[str | Path], out_file: str | Path, columns: int, title: str
) -> None:
    """Lay out pictures of equal size in a grid.

    Args:
        pictures: Picture files.
        out_file: Picture to write.
        columns: Pictures side by side.
        title: Heading.

    Raises:
        ValueError: There is no picture.
    """
    if not pictures:
        raise ValueError(f'no pictures for {out_file}')
    images = [imread(picture) for picture in pictures]
    rows = -(-len(images) // columns)
    height, width = images[0].shape[:2]
    cell = 3.0  # inches, the width of a picture
    figure = Figure(
        figsize=(cell * columns, cell * height / width * rows + 0.4), layout='constrained'
    )
    figure.suptitle(title)
    for index, image in enumerate(images, start=1):
        axes = figure.add_subplot(rows, columns, index)
        axes.imshow(image)
        axes.axis('off')
    figure.savefig(out_file, dpi=120)
