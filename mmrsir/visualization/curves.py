"""Curves of a run: training loss and validation metrics over iterations."""

import json
from collections.abc import Sequence
from pathlib import Path

from matplotlib.figure import Figure

Curve = tuple[list[int], list[float]]


def read_scalars(path: str | Path, keys: Sequence[str]) -> dict[str, Curve]:
    """Read curves from the ``scalars.json`` that mmengine's LocalVisBackend writes.

    Training lines count iterations in ``step``; a validation line follows the training
    lines that it belongs to, whatever its own ``step`` counts.

    Args:
        path: The file, one JSON object a line.
        keys: Names of the values to read, such as ``'loss'`` or ``'coco/bbox_mAP'``.

    Returns:
        For each key the iterations and the values.

    Raises:
        ValueError: A key is in no line of the file.
    """
    curves: dict[str, Curve] = {key: ([], []) for key in keys}
    iteration = 0
    with open(path, encoding='utf-8') as lines:
        for line in lines:
            scalars = json.loads(line)
            iteration = scalars.get('iter', iteration)
            for key in keys:
                if key in scalars:
                    curves[key][0].append(iteration)
                    curves[key][1].append(scalars[key])
    missing = [key for key in keys if not curves[key][0]]
    if missing:
        raise ValueError(f'{path} has no values of {", ".join(missing)}')
    return curves


def plot_run(
    scalars: str | Path, metrics: dict[str, str], out_file: str | Path, title: str
) -> None:
    """Draw the loss on one side and metrics on the other.

    Args:
        scalars: ``scalars.json`` of the run.
        metrics: Keys of validation metrics with their names in the legend.
        out_file: Picture to write.
        title: Heading.

    Raises:
        ValueError: The run has no loss or lacks a metric.
    """
    curves = read_scalars(scalars, ['loss', *metrics])
    figure = Figure(figsize=(9, 3.5), layout='constrained')
    figure.suptitle(title)
    loss_axes, metric_axes = figure.subplots(1, 2)
    loss_axes.plot(*curves['loss'])
    loss_axes.set(xlabel='iteration', ylabel='training loss', ylim=(0, None))
    for key, label in metrics.items():
        metric_axes.plot(*curves[key], marker='o', label=f'{label}: {curves[key][1][-1]:.3f}')
    metric_axes.set(xlabel='iteration', ylabel='on held-out images', ylim=(0, 1))
    metric_axes.legend()
    for axes in (loss_axes, metric_axes):
        axes.grid(alpha=0.3)
        axes.set_xlim(left=0)
    figure.savefig(out_file, dpi=120)
