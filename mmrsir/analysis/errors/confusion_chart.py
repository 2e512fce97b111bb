"""A confusion matrix as a picture."""

from collections.abc import Sequence
from pathlib import Path

import torch
from matplotlib.figure import Figure
from sklearn.metrics import ConfusionMatrixDisplay
from torch import Tensor

from ...visualization.fonts import fonts_for

MAX_CLASSES = 40  # more cannot be read
MAX_NUMBERED = 20


def plot_confusion(
    matrix: Tensor, classes: Sequence[str], counted: str, out_file: str | Path
) -> None:
    """Draw how the objects of each true class were predicted, in percent of the class.

    Of many classes, those with the most errors are drawn.
    """
    title = f'What is taken for what: {int(matrix.sum()):,} {counted}'
    totals = matrix.sum(1)
    shares = 100 * matrix / totals[:, None].clamp(min=1)
    shown = torch.arange(len(classes))
    if len(classes) > MAX_CLASSES:
        errors = matrix.sum(0) + totals - 2 * matrix.diagonal()
        shown = errors.argsort(descending=True, stable=True)[:MAX_CLASSES].sort()[0]
        title += f'\nthe {MAX_CLASSES} classes of {len(classes)} with the most errors'
    names, drawn_shares = [classes[index] for index in shown], shares[shown][:, shown].numpy()
    side = max(4.5, 0.3 * len(names) + 2)
    with fonts_for(names):
        figure = Figure(figsize=(side + 1, side), layout='constrained')
        figure.suptitle(title)
        axes = figure.subplots()
        drawn = ConfusionMatrixDisplay(drawn_shares, display_labels=names).plot(
            include_values=len(names) <= MAX_NUMBERED,
            cmap='Blues',
            xticks_rotation='vertical',
            values_format='.0f',
            ax=axes,
            colorbar=False,
            im_kw=dict(vmin=0, vmax=100),
            text_kw=dict(fontsize=8),
        )
        if drawn.text_ is not None:  # scikit-learn takes the largest share for the darkest colour
            for text, share in zip(drawn.text_.flat, drawn_shares.flat, strict=True):
                text.set_color('white' if share > 50 else 'black')
        figure.colorbar(drawn.im_, label='% of the true class', shrink=0.7)
        axes.set_yticklabels(
            f'{name} ({int(totals[i]):,})' for i, name in zip(shown, names, strict=True)
        )
        axes.set(xlabel='predicted', ylabel=f'true (number of {counted})')
        figure.savefig(out_file, dpi=120)
