"""How sure a model is, from several draws of its random windows."""

from pathlib import Path

import numpy as np
from matplotlib.figure import Figure


def draw_uncertainty(picture: np.ndarray, variance: np.ndarray, out_file: str | Path) -> None:
    height, width = variance.shape
    cell = 4.0  # inches, the width of a picture
    figure = Figure(figsize=(2 * cell + 1, cell * height / width + 0.4), layout='constrained')
    plain, heat = figure.subplots(1, 2)
    plain.imshow(picture)
    drawn = heat.imshow(variance, cmap='inferno', vmin=0)
    for axes in (plain, heat):
        axes.axis('off')
    figure.colorbar(drawn, ax=heat, label='variance over the draws')
    figure.savefig(out_file, dpi=120)
