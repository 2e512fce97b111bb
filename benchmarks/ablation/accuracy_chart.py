"""Results as a picture: every training a dot, means with their standard error."""

from collections.abc import Sequence
from pathlib import Path

from matplotlib.axes import Axes
from matplotlib.figure import Figure

from .results import Outcome, summarize

INCHES = (5, 0.28)  # width of a panel, height of a variant


def plot_accuracies(rows: Sequence[Outcome], out_file: Path) -> None:
    tasks = list(dict.fromkeys(row.task for row in rows))
    labels = list(dict.fromkeys(label for _, label in summarize(rows)))
    width, height = INCHES
    size = (width * len(tasks) + 2, height * len(labels) + 1.2)
    figure = Figure(figsize=size, layout='constrained')
    panels = figure.subplots(1, len(tasks), sharey=True, squeeze=False)[0]
    for task, axes in zip(tasks, panels, strict=True):
        _plot_task([row for row in rows if row.task == task], labels, axes)
        axes.set_title(task, fontsize='small', loc='left')
        axes.set_xlabel('accuracy in %: trainings, mean and its standard error', fontsize='small')
    panels[0].set_yticks(range(len(labels)), labels, fontsize='small')
    panels[0].set_ylim(len(labels) - 0.5, -0.5)  # the first variant on top
    figure.savefig(out_file, dpi=120)


def _plot_task(rows: Sequence[Outcome], labels: Sequence[str], axes: Axes) -> None:
    axes.scatter(
        [row.accuracy for row in rows],
        [labels.index(row.label) for row in rows],
        s=12,
        color='C1',
        alpha=0.7,
    )
    for (_, label), reached in summarize(rows).items():
        axes.errorbar(
            reached.mean, labels.index(label), xerr=reached.error, fmt='|', color='C0', capsize=3
        )
    axes.grid(alpha=0.3)
