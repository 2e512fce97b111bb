"""What trainings reached: rows, their file, and means with standard deviations."""

import csv
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from statistics import mean, stdev
from typing import NamedTuple

from .tasks import TASKS


@dataclass(frozen=True)
class Outcome:
    """One training, evaluated in one way."""

    task: str
    variant: str
    evaluation: str  # 'fixed', 'random' or 'mean of K draws' of random windows
    seed: int
    accuracy: float  # right answers in percent
    params: int
    flops: int  # multiply-adds of one picture
    seconds: float  # that the training took

    @property
    def label(self) -> str:
        """The variant, with the way of evaluation where it is not the default."""
        return self.variant if self.evaluation == 'fixed' else f'{self.variant}, {self.evaluation}'


class Accuracy(NamedTuple):
    """Accuracy over seeds, in percent."""

    mean: float
    deviation: float  # of one training; 0 where there is only one
    seeds: int  # number of trainings
    # Those that came at least half of the way from guessing to 100 %; None for real images.
    solved: int | None

    @property
    def error(self) -> float:
        return self.deviation / self.seeds**0.5


def summarize(rows: Iterable[Outcome]) -> dict[tuple[str, str], Accuracy]:
    """Gather trainings that differ in nothing but their seed."""
    groups: dict[tuple[str, str], list[float]] = {}
    for row in rows:
        groups.setdefault((row.task, row.label), []).append(row.accuracy)
    return {
        (task, label): Accuracy(
            mean(values),
            stdev(values) if len(values) > 1 else 0.0,
            len(values),
            sum(value >= 50 + 50 / TASKS[task] for value in values) if task in TASKS else None,
        )
        for (task, label), values in groups.items()
    }


class Difference(NamedTuple):
    """How far a variant is ahead of another, in points."""

    mean: float  # of the differences of two trainings with the same seed
    error: float  # of this mean

    @property
    def is_clear(self) -> bool:
        return abs(self.mean) > 2 * self.error


def compare(rows: Iterable[Outcome], reference: str) -> dict[tuple[str, str], Difference]:
    """Compare all that was trained with one variant, where they share two seeds or more."""
    accuracies: dict[tuple[str, str], dict[int, float]] = {}
    for row in rows:
        accuracies.setdefault((row.task, row.label), {})[row.seed] = row.accuracy
    differences = {}
    for (task, label), by_seed in accuracies.items():
        others = accuracies.get((task, reference), {})
        paired = [by_seed[seed] - others[seed] for seed in by_seed.keys() & others.keys()]
        if label != reference and len(paired) > 1:
            error = stdev(paired) / len(paired) ** 0.5
            differences[task, label] = Difference(mean(paired), error)
    return differences


def write_csv(rows: Sequence[Outcome], path: Path) -> None:
    with path.open('w', newline='') as file:
        writer = csv.DictWriter(file, [one.name for one in fields(Outcome)], lineterminator='\n')
        writer.writeheader()
        writer.writerows({**asdict(row), 'accuracy': round(row.accuracy, 3)} for row in rows)


def read_csv(path: Path) -> list[Outcome]:
    with path.open(newline='') as file:
        return [
            Outcome(**{one.name: one.type(line[one.name]) for one in fields(Outcome)})  # type: ignore[operator]
            for line in csv.DictReader(file)
        ]
