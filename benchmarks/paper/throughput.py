"""How many images a second the models of a table take, timed in turn and kept in a file."""

import csv
import math
from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch
from speed.cases import Case
from speed.runs import forward
from speed.subjects import build
from speed.timing import Contender, averaged, describe, stopwatch, take_turns

from mmrsir.utils.errors import InvalidValueError
from mmrsir.utils.progress import show_progress

from .rows import EXPERIMENTS, NOT_MEASURED, PaperRow

RECORDED = 'docs/paper_throughput.csv'
# Standard error of the median ratio: more would hide what tables are to show.
MAX_ERROR = 0.06
# A model's turn in a round.
TURN_SECONDS = 2.0


class Speed(NamedTuple):
    """How fast a model is."""

    images_per_second: float  # in the median round
    spread: float  # distance of the quartiles of its times, in shares of their median
    ratio: float  # throughput over that of the reference in the same round: the median
    lower: float  # quartiles of these ratios
    upper: float

    def __str__(self) -> str:
        return f'{self.ratio:.2f}x ({self.lower:.2f} to {self.upper:.2f})'


COLUMNS = ('table', 'model', *Speed._fields, 'setting')


class Throughput(NamedTuple):
    """Throughput of the models of a table."""

    speeds: dict[str, Speed | str]  # or why there is none, by the name of the model
    setting: str = ''  # how it was measured, and when

    def relative(self, model: str) -> str:
        """Return a model's throughput over that of the reference, or why it is unknown."""
        return str(self.speeds.get(model, NOT_MEASURED))


def measure(
    rows: Sequence[PaperRow],
    batch: int,
    precision: str,
    device: str,
    warmup: int,
    repeats: int,
) -> dict[str, Speed | str]:
    """Time the forward passes of the models of a table in turn, each at its image size."""
    contenders = [
        _enter(row.config, Case('forward', *row.image_size, batch, precision, device))
        for row in show_progress(rows, 'Building')
    ]
    watch = averaged(stopwatch(torch.device(device)), TURN_SECONDS)
    turns = take_turns(contenders, warmup, repeats, watch)
    for _ in show_progress(turns, 'Timing', (warmup + repeats) * len(contenders)):
        pass
    models = [row.model for row in rows]
    reference = contenders[models.index(str(EXPERIMENTS[rows[0].table].reference))]
    return {
        model: one.failure or reference.failure or _speed(batch, one.seconds, reference.seconds)
        for model, one in zip(models, contenders, strict=True)
    }


def _speed(batch: int, seconds: Sequence[float], reference_seconds: Sequence[float]) -> Speed:
    """Return the speed of a model from the times of each round, its own and the reference's."""
    first, middle, third = np.percentile(seconds, [25, 50, 75]).tolist()
    ratios = np.divide(reference_seconds, seconds)
    lower, ratio, upper = np.percentile(ratios, [25, 50, 75]).tolist()
    return Speed(batch / middle, (third - first) / middle, ratio, lower, upper)


def _enter(config: Path, case: Case) -> Contender:
    try:
        subject = build(f'config:{config}', case)
    except Exception as error:
        return Contender(lambda: None, failure=describe(error))
    return Contender(partial(forward, subject, subject.module, case))


def read_recorded(root: Path) -> dict[int, Throughput]:
    recorded: dict[int, Throughput] = {}
    with (root / RECORDED).open(newline='') as file:
        for line in csv.DictReader(file):
            throughput = recorded.setdefault(int(line['table']), Throughput({}, line['setting']))
            figures = (float(line[name]) for name in Speed._fields)
            throughput.speeds[line['model']] = Speed(*figures)
    return recorded


def standard_error(spread: float, rounds: int) -> float:
    """Return the standard error of a median ratio of times, in shares of the ratio.

    The spread is the distance of the quartiles, in shares of the median; the times of both
    models are taken to scatter alike, independently and normally.
    """
    deviation = spread / 1.349  # quartiles of a normal distribution lie 1.349 deviations apart
    of_a_median = math.sqrt(math.pi / 2 / rounds) * deviation
    return math.sqrt(2) * of_a_median


def record(root: Path, table: int, throughput: Throughput, rounds: int) -> None:
    """Keep what was measured of a table, in place of what was recorded of it before."""
    name = str(EXPERIMENTS[table].reference)
    reference = throughput.speeds[name]
    if isinstance(reference, str):
        raise InvalidValueError(f'{name}, to which all others are compared, failed: {reference}')
    error = standard_error(reference.spread, rounds)
    if error > MAX_ERROR:
        raise InvalidValueError(
            f'the quartiles of the times of {name} lie {reference.spread:.0%} of their median '
            f'apart: with {rounds} rounds ratios have a standard error of {error:.0%}, allowed is '
            f'{MAX_ERROR:.0%}; the machine has other work, or --repeats is to be larger'
        )
    recorded = {**read_recorded(root), table: throughput}
    with (root / RECORDED).open('w', newline='') as file:
        writer = csv.writer(file, lineterminator='\n')
        writer.writerow(COLUMNS)
        for number, (speeds, setting) in sorted(recorded.items()):
            for model, speed in speeds.items():
                if not isinstance(speed, str):
                    figures = [f'{figure:.4g}' for figure in speed]
                    writer.writerow([number, model, *figures, setting])
