"""Effective receptive fields: which pixels the middle of a feature map depends on, and how much.

Source: arXiv 1701.04128.
"""

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch
from matplotlib.figure import Figure
from torch import Tensor

from ..models import PyramidTransformer
from .blocks import place

FLOOR = -4  # in powers of ten below the strongest gradient
SHARE = 0.95


class Field(NamedTuple):
    """Effective receptive field after a block."""

    title: str
    gradient: np.ndarray  # absolute, by the pixels, (H, W); at most 1
    area: float  # smallest share of the pixels that have 95 % of the gradient, 0 to 1


def receptive_fields(backbone: PyramidTransformer, images: Tensor) -> Iterator[Field]:
    """Differentiate the patch in the middle by the pixels, and yield the field after each block.

    Args:
        backbone: The backbone, in evaluation mode.
        images: Normalized images, (B, 3, H, W), over which is averaged.
    """
    images = images.detach().requires_grad_()
    height, width = images.shape[2:]
    for stage, block, trace in place(backbone.trace(images, (width // 2, height // 2))):
        row, column = trace.query
        middle = trace.features_BCHW[:, :, row, column].sum()
        (gradient,) = torch.autograd.grad(middle, images, retain_graph=True)
        strength = gradient.abs().sum(1).mean(0).double()
        yield Field(
            f'stage {stage}, block {block}',
            (strength / strength.max()).cpu().numpy(),
            covered_area(strength),
        )


def covered_area(strength: Tensor, share: float = SHARE) -> float:
    """Return the smallest share of the pixels, 0 to 1, that have a share of the whole strength.

    ``strength`` is not negative, of any shape.
    """
    sums = strength.flatten().sort(descending=True)[0].cumsum(0)
    needed = int((sums < share * sums[-1]).sum()) + 1
    return min(needed, len(sums)) / len(sums)


def draw_fields(fields: Mapping[str, Sequence[Field]], out_file: str | Path) -> None:
    """Draw fields, a row for each model by its name, and how far they reach."""
    columns = max(len(of_model) for of_model in fields.values())
    figure = Figure(figsize=(1.7 * columns + 1, 2.2 * len(fields) + 3.2), layout='constrained')
    figure.suptitle('Effective receptive field of the middle, after each block')
    parts: Any = figure.subfigures(2, 1, height_ratios=(2.2 * len(fields), 2.6))
    upper, lower = parts
    grid = upper.subplots(len(fields), columns, squeeze=False)
    for row, (name, of_model) in zip(grid, fields.items(), strict=True):
        for axes in row:
            axes.set(xticks=[], yticks=[])
            axes.spines[:].set_visible(False)
        for axes, field in zip(row, of_model, strict=False):
            with np.errstate(divide='ignore'):
                axes.imshow(np.log10(field.gradient), cmap='inferno', vmin=FLOOR, vmax=0)
            axes.set_title(f'{field.title}\n{field.area:.0%}', fontsize=8)
        row[0].set_ylabel(name)
    upper.supxlabel(
        'Bright: pixels on which the middle depends most; black: below a ten-thousandth of that; '
        'white: not at all.',
        fontsize=9,
    )
    axes = lower.subplots()
    for name, of_model in fields.items():
        areas = [100 * field.area for field in of_model]
        axes.plot(range(1, len(areas) + 1), areas, marker='o', label=name)
    axes.set(
        xlabel='block', ylabel=f'% of the pixels with\n{SHARE:.0%} of the gradient', ylim=(0, None)
    )
    axes.grid(alpha=0.3)
    axes.legend()
    figure.savefig(out_file, dpi=100)
