"""Curves of runs: training loss, learning rate and validation metrics over iterations."""

import json
from bisect import bisect_left
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, BinaryIO, NamedTuple

from matplotlib.figure import Figure

from ..utils.arguments import check_choice

Curve = tuple[list[int], list[float]]

# The metrics by which runs are compared; of all of them, more is better.
METRICS = {
    'coco/bbox_mAP': 'box AP',
    'coco/segm_mAP': 'mask AP',
    'mIoU': 'mIoU',
    'mAcc': 'mean accuracy of the classes',
    'aAcc': 'accuracy of the pixels',
    'accuracy/top1': 'top-1 accuracy',
    'accuracy/top5': 'top-5 accuracy',
}
LABELS = {
    'loss': 'training loss',
    'lr': 'learning rate',
    'coco/bbox_mAP_50': 'box AP50',
    'coco/segm_mAP_50': 'mask AP50',
    **METRICS,
}
TRAINING_KEYS = ('loss', 'lr')
COUNTERS = ('iter', 'epoch', 'step')
TIMES = ('time', 'data_time')
COLUMNS = 3
MARKED_POINTS = 40


class Validation(NamedTuple):
    """What a validation found."""

    iteration: int  # the last one that was logged before
    step: int  # how mmengine counts: the epoch, or the iteration where metrics are logged by it
    metrics: dict[str, float]


class RunLog(NamedTuple):
    """What a run logged: curves of the training by name, and validations in their order."""

    training: dict[str, Curve]
    validations: list[Validation]

    def curves(self) -> dict[str, Curve]:
        metrics: dict[str, Curve] = defaultdict(lambda: ([], []))
        for validation in self.validations:
            for key, value in validation.metrics.items():
                metrics[key][0].append(validation.iteration)
                metrics[key][1].append(value)
        return dict(metrics) | self.training


def log_files(run: str | Path) -> list[Path]:
    """Return the scalars.json of each start of a run, the oldest first.

    A run is a work folder, the folder of a single start of it, or such a file.
    """
    run = Path(run)
    if run.is_file():
        return [run]
    files = [*run.glob('vis_data/scalars.json'), *sorted(run.glob('*/vis_data/scalars.json'))]
    if not files:
        raise FileNotFoundError(
            f'{run} is neither a scalars.json nor the work folder of a training'
        )
    return files


def read_log(files: Iterable[Path]) -> RunLog:
    """Read what a training logged, over all times that it was started.

    A training that was resumed replaces what was logged from its first iteration on.
    """
    log = RunLog(defaultdict(lambda: ([], [])), [])
    iteration = 0
    for file in files:
        for line in file.read_text(encoding='utf-8').splitlines():
            try:
                scalars = json.loads(line)
            except json.JSONDecodeError:  # a killed training may leave a part of a line
                continue
            if 'iter' not in scalars:
                metrics = _numbers(scalars, (*COUNTERS, *TIMES))
                log.validations.append(Validation(iteration, scalars['step'], metrics))
                continue
            if scalars['iter'] <= iteration:
                _forget(log, scalars['iter'])
            iteration = scalars['iter']
            for key, value in _numbers(scalars, COUNTERS).items():
                log.training[key][0].append(iteration)
                log.training[key][1].append(value)
    return RunLog(dict(log.training), log.validations)


def main_metrics(log: RunLog) -> list[str]:
    """Return the metrics of a run that matter most; all that it has where it has none of these."""
    found = dict.fromkeys(key for one in log.validations for key in one.metrics)
    return [key for key in METRICS if key in found] or list(found)


def plot_runs(
    runs: Mapping[str, str | Path],
    out_file: str | Path | BinaryIO,
    title: str,
    keys: Sequence[str] | None = None,
) -> None:
    """Draw curves of one run, its metrics in one panel, or of several, a panel for each value.

    Without ``keys``: the loss, the learning rate and the main metrics that the runs have.
    """
    logs = {name: read_log(log_files(run)) for name, run in runs.items()}
    curves = {name: log.curves() for name, log in logs.items()}
    known = list(dict.fromkeys(key for one in curves.values() for key in one))
    if keys is None:
        metrics = dict.fromkeys(key for log in logs.values() for key in main_metrics(log))
        keys = [key for key in (*TRAINING_KEYS, *metrics) if key in known]
    for key in keys:
        check_choice('key', key, known)
    trained = {key for log in logs.values() for key in log.training}

    panels: dict[str, dict[str, Curve]] = defaultdict(dict)
    for key in keys:
        label = LABELS.get(key, key)
        for name, of_run in curves.items():
            if key not in of_run:
                continue
            if key not in trained and len(runs) == 1:
                last = f'{label}: {of_run[key][1][-1]:.4g}'
                panels['on held-out images'][last] = of_run[key]
            else:
                panels[label][name if len(runs) > 1 else ''] = of_run[key]
    _draw_panels(panels, out_file, title)


def _draw_panels(
    panels: Mapping[str, Mapping[str, Curve]], out_file: str | Path | BinaryIO, title: str
) -> None:
    columns = max(1, min(COLUMNS, len(panels)))
    rows = -(-len(panels) // columns)
    figure = Figure(figsize=(4.5 * columns, 3.2 * max(1, rows) + 0.4), layout='constrained')
    figure.suptitle(title)
    for index, (label, curves) in enumerate(panels.items(), start=1):
        axes = figure.add_subplot(rows, columns, index)
        for name, (iterations, values) in curves.items():
            # Points of which there are few are not seen without a mark.
            marker = 'o' if len(values) <= MARKED_POINTS else ''
            axes.plot(iterations, values, marker=marker, label=name)
        axes.set(xlabel='iteration', ylabel=label)
        axes.update_datalim([(0, 0)])
        axes.autoscale_view()
        axes.set(xlim=(0, None), ylim=(0, None))
        axes.grid(alpha=0.3)
        if any(curves):
            axes.legend(fontsize='small')
    figure.savefig(out_file, dpi=120)


def _numbers(scalars: Mapping[str, Any], left_out: Sequence[str]) -> dict[str, float]:
    return {
        key: value
        for key, value in scalars.items()
        if key not in left_out and isinstance(value, (int, float))
    }


def _forget(log: RunLog, start: int) -> None:
    for iterations, values in log.training.values():
        place = bisect_left(iterations, start)
        del iterations[place:], values[place:]
    log.validations[:] = [one for one in log.validations if one.iteration < start]
