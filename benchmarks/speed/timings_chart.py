"""Results as a picture: bars with their spread, a panel for each case."""

from pathlib import Path

from matplotlib.axes import Axes
from matplotlib.figure import Figure

from .cases import Case
from .results import Results, spread
from .timings_table import describe_machine

INCHES = (9, 0.35)  # width of the picture, height of a bar


def plot_timings(results: Results, out_file: Path) -> None:
    """Draw median times with quartiles, and the layers alone within them."""
    cases = results.cases()
    bars = [sum(row.case == case for row in results.rows) for case in cases]
    width, bar = INCHES
    size = (width, bar * sum(bars) + 1.0 * len(cases) + 1.0)
    figure = Figure(figsize=size, layout='constrained')
    figure.suptitle(describe_machine(results), fontsize='x-small')
    panels = figure.subplots(len(cases), 1, squeeze=False, height_ratios=bars)[:, 0]
    for axes, case in zip(panels, cases, strict=True):
        _plot_case(results, case, axes)
    panels[-1].set_xlabel('ms, median and quartiles; narrow: linear and convolution layers alone')
    figure.savefig(out_file, dpi=120)


def _plot_case(results: Results, case: Case, axes: Axes) -> None:
    rows = [row for row in results.rows if row.case == case]
    for place, row in enumerate(rows):
        if not row.seconds:
            axes.text(0, place, ' failed', va='center', fontsize='small')
            continue
        times = spread(row.seconds)
        below = times.median - times.lower_quartile
        above = times.upper_quartile - times.median
        error = [[1000 * below], [1000 * above]]
        axes.barh(place, 1000 * times.median, xerr=error, color='C0', alpha=0.6, capsize=3)
        if row.floor_seconds:
            floor = 1000 * spread(row.floor_seconds).median
            axes.barh(place, floor, height=0.3, color='C1')
    axes.set_yticks(range(len(rows)), [row.label for row in rows], fontsize='small')
    axes.set_ylim(len(rows) - 0.5, -0.5)  # the first row on top
    axes.set_xlim(left=0)
    axes.set_title(str(case), fontsize='small', loc='left')
    axes.grid(axis='x', alpha=0.3)
