"""How many images a second the models of a table take, timed in turn and kept in a file."""

import csv
from collections.abc import Sequence
from functools import partial
from pathlib import Path
from statistics import median
from typing import NamedTuple

import torch
from rich.console import Console
from rich.progress import track

from ..benchmark.cases import Case
from ..benchmark.runs import forward
from ..benchmark.subjects import build
from ..benchmark.timing import Contender, describe, stopwatch, take_turns
from .rows import NOT_MEASURED, Row

RECORDED = 'docs/paper_throughput.csv'
COLUMNS = ('table', 'model', 'images_per_second', 'setting')


class Throughput(NamedTuple):
    """Throughput of the models of a table.

    Args:
        speeds: Images a second, or why there is no figure, by the name of the model.
        setting: How it was measured, and when.
    """

    speeds: dict[str, float | str]
    setting: str = ''

    def relative(self, model: str, reference: str) -> str:
        """Compare two models.

        Args:
            model: Name of the first.
            reference: Name of the second.

        Returns:
            The throughput of the first over that of the second, or why it is unknown.
        """
        own, other = (self.speeds.get(name, NOT_MEASURED) for name in (model, reference))
        if isinstance(own, str):
            return own
        return other if isinstance(other, str) else f'{own / other:.2f}x'


def measure(
    rows: Sequence[Row],
    batch: int,
    precision: str,
    device: str,
    warmup: int,
    repeats: int,
    console: Console,
) -> dict[str, float | str]:
    """Time the forward passes of the models of a table in turn, each at its image size.

    Args:
        rows: The rows.
        batch: Number of images of a forward pass.
        precision: A key of :data:`~mmrsir.analysis.benchmark.cases.PRECISIONS`.
        device: Where the models run.
        warmup: Rounds before those that count, at least 1.
        repeats: Rounds that count.
        console: Where progress is shown, and disappears again.

    Returns:
        Images a second in the median round, or why a model failed, by the model's name.
    """
    show = partial(track, console=console, transient=True, disable=not console.is_terminal)
    contenders = [
        _enter(row.configs[0], Case('forward', *row.image_size, batch, precision, device))
        for row in show(rows, 'Building')
    ]
    turns = take_turns(contenders, warmup, repeats, stopwatch(torch.device(device)))
    for _ in show(turns, 'Timing', total=(warmup + repeats) * len(contenders)):
        pass
    return {
        row.model: one.failure or batch / median(one.seconds)
        for row, one in zip(rows, contenders, strict=True)
    }


def _enter(config: Path, case: Case) -> Contender:
    """Build the model of a config."""
    try:
        subject = build(f'config:{config}', case)
    except Exception as error:
        return Contender(lambda: None, failure=describe(error))
    return Contender(partial(forward, subject, subject.module, case))


def read_recorded(root: Path) -> dict[int, Throughput]:
    """Read what was recorded.

    Args:
        root: The repository.

    Returns:
        The throughput of the models of a table, by the number of the table.
    """
    recorded: dict[int, Throughput] = {}
    with (root / RECORDED).open(newline='') as file:
        for line in csv.DictReader(file):
            throughput = recorded.setdefault(int(line['table']), Throughput({}, line['setting']))
            throughput.speeds[line['model']] = float(line['images_per_second'])
    return recorded


def record(root: Path, table: int, throughput: Throughput) -> None:
    """Keep what was measured of a table, in place of what was recorded of it before.

    Args:
        root: The repository.
        table: Number of the table.
        throughput: What was measured; models that failed are left out.
    """
    recorded = {**read_recorded(root), table: throughput}
    with (root / RECORDED).open('w', newline='') as file:
        writer = csv.writer(file, lineterminator='\n')
        writer.writerow(COLUMNS)
        for number, (speeds, setting) in sorted(recorded.items()):
            for model, speed in speeds.items():
                if not isinstance(speed, str):
                    writer.writerow([number, model, f'{speed:.4g}', setting])
