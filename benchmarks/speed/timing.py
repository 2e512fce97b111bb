"""Stopwatches, and computations that take turns."""

import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field

import torch

Stopwatch = Callable[[Callable[[], object]], float]


@dataclass(eq=False)
class Contender:
    """A computation whose time is measured.

    Args:
        run: The computation.
        seconds: Its times.
        failure: Why it has none; None if it has.
    """

    run: Callable[[], object]
    seconds: list[float] = field(default_factory=list)
    failure: str | None = None


def stopwatch(device: torch.device) -> Stopwatch:
    """Return a function that times a computation once."""
    return _time_on_gpu if device.type == 'cuda' else _time_on_cpu


def averaged(measure: Stopwatch, min_seconds: float) -> Stopwatch:
    """Return a stopwatch that gives the mean time of a computation, repeated while it is short."""

    def measure_mean(run: Callable[[], object]) -> float:
        seconds = [measure(run)]
        while sum(seconds) < min_seconds:
            seconds.append(measure(run))
        return sum(seconds) / len(seconds)

    return measure_mean


def take_turns(
    contenders: Sequence[Contender], warmup: int, repeats: int, measure: Stopwatch
) -> Iterator[None]:
    """Time computations in turn, so that a change of the machine's speed meets all of them.

    Each round runs all of them once and begins with another one. One that fails keeps the
    reason in place of its times, and the others go on.
    """
    for turn in range(warmup + repeats):
        first = turn % max(1, len(contenders))
        for contender in [*contenders[first:], *contenders[:first]]:
            if contender.failure is None:
                try:
                    seconds = measure(contender.run)
                except Exception as error:
                    contender.failure = describe(error)
                    contender.seconds.clear()
                else:
                    if turn >= warmup:
                        contender.seconds.append(seconds)
            yield


def describe(error: Exception) -> str:
    """Return an error's type and the first line of its message."""
    lines = str(error).strip().splitlines()
    return f'{type(error).__name__}: {lines[0]}' if lines else type(error).__name__


def _time_on_cpu(run: Callable[[], object]) -> float:
    start = time.perf_counter()
    run()
    return time.perf_counter() - start


def _time_on_gpu(run: Callable[[], object]) -> float:
    start, end = (torch.cuda.Event(enable_timing=True) for _ in range(2))
    torch.cuda.synchronize()
    start.record()
    run()
    end.record()
    torch.cuda.synchronize()
    return start.elapsed_time(end) / 1000
