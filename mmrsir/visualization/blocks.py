"""What a place of a picture sees in each block of the backbone, drawn over the picture.

Source: arXiv 2304.06250, Figures 1 (e, f), 2 and 3, for pictures and models of one's own.
"""

import json
from collections.abc import Callable, Sequence
from pathlib import Path
from textwrap import fill
from typing import Any, NamedTuple

import numpy as np
from matplotlib import colormaps
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.colors import Normalize
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle
from PIL import Image

from ..models.traces import BlockTrace
from ..utils.errors import InvalidValueError

Traces = Sequence[Sequence[BlockTrace]]
"""What :meth:`PyramidTransformer.trace` returns, of one image."""

MIXER_TITLES = {
    'rs': 'RS-Win (random sampling)',
    'ir': 'IR-Win (important regions)',
    'shifted_window': 'shifted window',
    'spatially_separable': 'spatially separable',
    'axial': 'row or column',
    'criss_cross': 'row and column',
    'cross_shaped': 'cross-shaped window',
    'grid': 'block or grid',
}
COLUMNS = 4
CURTAIN = (1.0, 1.0, 1.0, 0.8)  # over what the query does not see


class Placed(NamedTuple):
    """A block's trace and where the block stands, both numbers from 1."""

    stage: int
    block: int
    trace: BlockTrace

    @property
    def title(self) -> str:
        mixer = MIXER_TITLES.get(self.trace.mixer, self.trace.mixer)
        return f'stage {self.stage}, block {self.block}: {mixer}'


class View(NamedTuple):
    """A way to look at blocks."""

    title: str
    legend: str  # what the colours mean
    # The colours over the patches, RGBA from 0 to 1, (h, w, 4), and a line about them.
    paint: Callable[[BlockTrace], tuple[np.ndarray, str] | None]


def _paint_window(trace: BlockTrace) -> tuple[np.ndarray, str]:
    seen = seen_patches(trace)
    colors = np.zeros((*seen.shape, 4))
    colors[~seen] = CURTAIN
    return colors, f'{seen.sum()} of {seen.size} patches'


def _paint_windows(trace: BlockTrace) -> tuple[np.ndarray, str] | None:
    if trace.windows_BHW is None:
        return None
    windows = trace.windows_BHW[0].cpu().numpy()
    number = int(windows.max()) + 1
    return _shade(windows, 'turbo_r', 0, max(1, number - 1)), f'{number} windows'


def _paint_attention(trace: BlockTrace) -> tuple[np.ndarray, str]:
    weights = mean_weights(trace)
    strongest = float(weights.max())
    return _shade(weights, 'inferno', 0, strongest), f'strongest weight {strongest:.3f}'


def _paint_importance(trace: BlockTrace) -> tuple[np.ndarray, str] | None:
    if trace.importance_BHW is None:
        return None
    importance = trace.importance_BHW[0].detach().float().cpu().numpy()
    low, high = float(importance.min()), float(importance.max())
    return _shade(importance, 'viridis', low, high), f'from {low:.3f} to {high:.3f}'


def _shade(values: np.ndarray, colors: str, low: float, high: float) -> np.ndarray:
    return colormaps[colors](Normalize(low, high)(values), alpha=0.7)


VIEWS = {
    'window': View(
        'Patches that share a window with the chosen one',
        'Red frame: the chosen patch. Clear: the patches of its window, all that it attends to in '
        'this block. Faded: what it does not see.',
        _paint_window,
    ),
    'windows': View(
        'All windows',
        'A colour is a window. IR-Win: red windows hold the most important patches, blue ones the '
        'least important.',
        _paint_windows,
    ),
    'attention': View(
        'How much the chosen patch attends to others',
        'Red frame: the chosen patch. Black: weight 0; yellow: the strongest weight of the block '
        '(mean of the heads; weights add up to 1).',
        _paint_attention,
    ),
    'importance': View(
        'Importance by which IR-Win sorts',
        'Yellow: most important; violet: least. Patches of about equal importance share a window.',
        _paint_importance,
    ),
}


def place(traces: Traces) -> list[Placed]:
    return [
        Placed(stage, block, trace)
        for stage, blocks in enumerate(traces, start=1)
        for block, trace in enumerate(blocks, start=1)
    ]


def mean_weights(trace: BlockTrace) -> np.ndarray:
    return trace.weights_BhHW[0].detach().float().mean(0).cpu().numpy()


def seen_patches(trace: BlockTrace) -> np.ndarray:
    """Return which patches the query attends to, with any head, bool, (h, w)."""
    return (trace.weights_BhHW[0] > 0).any(0).cpu().numpy()


def draw_sheet(picture: np.ndarray, traces: Traces, view: str, out_file: str | Path) -> None:
    """Draw a view of all blocks on one sheet.

    Args:
        picture: RGB, uint8, (H, W, 3), as the backbone saw it.
        traces: What :meth:`PyramidTransformer.trace` returned of it.
        view: A key of :data:`VIEWS`.
        out_file: Picture to write.

    Raises:
        ValueError: No block has what the view shows.
    """
    shown = [one for one in place(traces) if VIEWS[view].paint(one.trace) is not None]
    if not shown:
        raise InvalidValueError(
            f'no block of this backbone has {VIEWS[view].title.lower()!r} to show'
        )
    columns = min(COLUMNS, len(shown))
    rows = -(-len(shown) // columns)
    height = picture.shape[0] / picture.shape[1] * 3.4 + 0.5
    figure = Figure(figsize=(3.6 * columns, height * rows + 0.9), layout='constrained')
    figure.suptitle(VIEWS[view].title)
    figure.supxlabel(VIEWS[view].legend, fontsize=9, wrap=True)
    for index, one in enumerate(shown, start=1):
        axes = figure.add_subplot(rows, columns, index)
        draw_block(axes, picture, one, view)
    figure.savefig(out_file, dpi=100)


def draw_block(axes: Axes, picture: np.ndarray, placed: Placed, view: str, title: str = '') -> None:
    painted = VIEWS[view].paint(placed.trace)
    assert painted is not None
    colors, remark = painted
    height, width = picture.shape[:2]
    size = 4 * 2 ** (placed.stage - 1)  # pixels of a patch
    axes.imshow(picture, extent=(0, width, height, 0))
    # Patches at the edges may stick out of the picture.
    extent = (0, colors.shape[1] * size, colors.shape[0] * size, 0)
    axes.imshow(colors, extent=extent, interpolation='nearest')
    row, column = placed.trace.query
    corner = (column * size, row * size)
    axes.add_patch(Rectangle(corner, size, size, fill=False, edgecolor='red', linewidth=1.5))
    axes.set(xlim=(0, width), ylim=(height, 0), xticks=[], yticks=[])
    axes.set_title(f'{title or placed.title}\n{remark}', fontsize=9)


def render_block(
    picture: np.ndarray, placed: Placed, views: Sequence[str] = tuple(VIEWS)
) -> np.ndarray:
    shown = [view for view in views if VIEWS[view].paint(placed.trace) is not None]
    height = picture.shape[0] / picture.shape[1] * 3.4 + 1.3
    figure = Figure(figsize=(3.6 * len(shown), height), dpi=90, layout='constrained')
    canvas = FigureCanvasAgg(figure)
    if len(shown) > 1:
        figure.suptitle(placed.title, fontsize=11)
    for index, view in enumerate(shown, start=1):
        axes = figure.add_subplot(1, len(shown), index)
        draw_block(axes, picture, placed, view, VIEWS[view].title)
        axes.set_xlabel(fill(VIEWS[view].legend, 55), fontsize=8)
    canvas.draw()
    return np.asarray(canvas.buffer_rgba())[..., :3].copy()


def animate(picture: np.ndarray, traces: Traces, out_file: str | Path) -> None:
    """Write an animated GIF that goes through the blocks: the window and its attention.

    ``picture`` and ``traces`` are as for :func:`draw_sheet`. A block is shown for a second.
    """
    drawn = (render_block(picture, one, ('window', 'attention')) for one in place(traces))
    # The usual palette leaves out the few patches that have a colour.
    palette = Image.Quantize.MAXCOVERAGE
    first, *others = (Image.fromarray(frame).quantize(method=palette) for frame in drawn)
    first.save(out_file, save_all=True, append_images=others, duration=1000, loop=0)


def write_json(traces: Traces, out_file: str | Path) -> None:
    """Write what the pictures show as JSON: a list with an object for each block.

    Patches are [row, column] on the grid of the stage.
    """
    Path(out_file).write_text(json.dumps([_numbers(one) for one in place(traces)]))


def _numbers(placed: Placed) -> dict[str, Any]:
    trace = placed.trace
    seen = seen_patches(trace)
    weights = mean_weights(trace)
    numbers: dict[str, Any] = dict(
        stage=placed.stage,
        block=placed.block,
        mixer=trace.mixer,
        grid=list(seen.shape),
        query=list(trace.query),
        seen=np.argwhere(seen).tolist(),
        weights=[round(weight, 6) for weight in weights[seen].tolist()],
    )
    if trace.windows_BHW is not None:
        numbers['windows'] = trace.windows_BHW[0].tolist()
    if trace.importance_BHW is not None:
        rounded = np.round(trace.importance_BHW[0].detach().double().cpu().numpy(), 6)
        numbers['importance'] = rounded.tolist()
    return numbers
