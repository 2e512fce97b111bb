"""What was measured, and what follows from it: medians, ratios, exponents, a JSON file."""

import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from .cases import Case

FITTED_SIZES = 3  # two would fit any exponent exactly


class Spread(NamedTuple):
    """Order statistics of times, in seconds."""

    minimum: float
    lower_quartile: float
    median: float
    upper_quartile: float


def spread(seconds: Sequence[float]) -> Spread:
    """Return the order statistics of times."""
    return Spread(*np.percentile(seconds, [0, 25, 50, 75]).tolist())


@dataclass(frozen=True)
class Timing:
    """One model in one case.

    Args:
        model: Its name.
        mode: One of :data:`.runs.MODES`.
        case: What was timed.
        seconds: Its times; empty if it failed.
        floor_seconds: Times of its linear and convolution layers alone; empty if that failed.
        peak_bytes: Weights, batch and what a step allocates at most; None if it failed, and for
            onnxruntime.
        failure: Why something is missing; None if nothing is.
    """

    model: str
    mode: str
    case: Case
    seconds: list[float] = field(default_factory=list)
    floor_seconds: list[float] = field(default_factory=list)
    peak_bytes: int | None = None
    failure: str | None = None

    @property
    def label(self) -> str:
        """The model's name, with the mode where it is not eager."""
        return _label(self.model, self.mode)

    @property
    def median(self) -> float | None:
        """Median time in seconds; None if the model failed."""
        return spread(self.seconds).median if self.seconds else None

    @property
    def throughput(self) -> float | None:
        """Images a second."""
        return None if self.median is None else self.case.batch / self.median

    @property
    def overhead(self) -> float | None:
        """R: the model's time over that of its linear and convolution layers alone."""
        if self.median is None or not self.floor_seconds:
            return None
        return self.median / spread(self.floor_seconds).median


class Scaling(NamedTuple):
    """How the time of a model grows: time an image ~ tokens an image ** exponent.

    Args:
        model: Name of the model.
        mode: Its mode.
        step: ``'forward'`` or ``'training'``.
        exponent: Slope of the least-squares line in log-log.
        smallest: Fewest tokens of an image, at stride 4.
        largest: Most of them.
    """

    model: str
    mode: str
    step: str
    exponent: float
    smallest: int
    largest: int

    @property
    def label(self) -> str:
        """The model's name, with the mode where it is not eager."""
        return _label(self.model, self.mode)


@dataclass
class Results:
    """All rows of a run, and how they came about.

    Args:
        baseline: Name of the model that the others are compared with.
        command: The command line.
        date: When the run began, ISO 8601.
        environment: Machine, versions and settings.
        rows: The rows.
    """

    baseline: str
    command: str
    date: str
    environment: dict[str, Any]
    rows: list[Timing] = field(default_factory=list)

    def cases(self) -> list[Case]:
        """Return the cases in the order in which they were run."""
        return list(dict.fromkeys(row.case for row in self.rows))

    def ratio(self, row: Timing, figure: str = 'median') -> float | None:
        """Return a figure of a row over the baseline's in the same case and mode."""
        for other in self.rows:
            if (other.model, other.mode, other.case) == (self.baseline, row.mode, row.case):
                own, baseline = getattr(row, figure), getattr(other, figure)
                return own / baseline if own and baseline else None
        return None

    def scaling(self) -> list[Scaling]:
        """Fit time against tokens for all that were timed at three or more sizes."""
        groups: dict[tuple[str, str, str], list[Timing]] = {}
        for row in self.rows:
            if row.median is not None:
                groups.setdefault((row.model, row.mode, row.case.step), []).append(row)
        fits = []
        for key, rows in groups.items():
            tokens = [row.case.tokens for row in rows]
            if len(set(tokens)) >= FITTED_SIZES:
                seconds = [1 / row.throughput for row in rows if row.throughput]
                exponent, _ = np.polyfit(np.log(tokens), np.log(seconds), 1).tolist()
                fits.append(Scaling(*key, exponent, min(tokens), max(tokens)))
        return fits

    def as_dict(self) -> dict[str, Any]:
        """Return everything, measured and derived, in types that JSON has."""
        content = asdict(self)
        for entry, row in zip(content['rows'], self.rows, strict=True):
            entry.update(
                spread=spread(row.seconds)._asdict() if row.seconds else None,
                floor_spread=spread(row.floor_seconds)._asdict() if row.floor_seconds else None,
                ratio=self.ratio(row),
                memory_ratio=self.ratio(row, 'peak_bytes'),
                R=row.overhead,
                images_per_second=row.throughput,
            )
        content['scaling'] = [fit._asdict() for fit in self.scaling()]
        return content

    def write(self, path: Path) -> None:
        """Write everything to a JSON file."""
        path.parent.mkdir(parents=True, exist_ok=True)
        text = json.dumps(self.as_dict(), indent=2, allow_nan=False, ensure_ascii=False)
        path.write_text(f'{text}\n', encoding='utf-8')


def _label(model: str, mode: str) -> str:
    return model if mode == 'eager' else f'{model}, {mode}'
