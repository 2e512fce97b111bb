"""From a case and names of models to rows of results."""

import gc
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from typing import Any

import torch

from mmrsir.utils.progress import show_progress

from .cases import Case
from .floor import record_layers, replay
from .memory import peak_growth
from .onnx_session import onnx_session
from .results import Timing
from .subjects import Subject, build
from .timing import Contender, describe, stopwatch, take_turns

ONNX = 'onnxruntime'
# 'compiled' is torch.compile as it is by default; the next two are its modes of these names.
MODES = ('eager', 'compiled', 'max-autotune-no-cudagraphs', 'reduce-overhead', ONNX)
# Graphs that may share a function: models of one process, not only of one, do.
GRAPHS = 64


@dataclass
class Entry:
    """A model in one mode that takes part in a case.

    Args:
        model: Its name.
        mode: Its mode.
        step: Its step.
        floor: The step of its layers alone; modes share it.
        resident_bytes: Size of weights and batch.
    """

    model: str
    mode: str
    step: Contender
    floor: Contender
    resident_bytes: int = 0


def run_case(
    case: Case,
    models: Sequence[str],
    modes: Sequence[str],
    warmup: int,
    repeats: int,
) -> list[Timing]:
    """Time models, and their layers alone, in turn."""
    device = torch.device(case.device)
    gc.collect()  # models of the case before
    if device.type == 'cuda':
        torch.cuda.empty_cache()
    with _compiler(modes):
        entries: list[Entry] = []
        for model in show_progress(models, f'{case}: building'):
            entries += _enter(model, modes, case)
        contenders = list(dict.fromkeys(one for e in entries for one in (e.step, e.floor)))
        turns = take_turns(contenders, warmup, repeats, stopwatch(device))
        for _ in show_progress(
            turns, f'{case}: timing', total=(warmup + repeats) * len(contenders)
        ):
            pass
        return [_finish(one, case, device) for one in show_progress(entries, f'{case}: memory')]


@contextmanager
def _compiler(modes: Sequence[str]) -> Iterator[None]:
    """Begin without the graphs of the case before, and let no model fall back to eager mode."""
    if set(modes) <= {'eager', ONNX}:
        yield
        return
    torch.compiler.reset()
    limits = dict(recompile_limit=GRAPHS, fail_on_recompile_limit_hit=True)
    with torch._dynamo.config.patch(limits):
        yield


def _enter(model: str, modes: Sequence[str], case: Case) -> list[Entry]:
    """Build a model and record its layers."""
    try:
        subject = build(model, case)
        layers = record_layers(partial(forward, subject, subject.module, case))
        floor = Contender(replay(layers, case))
    except Exception as error:
        failed = Contender(lambda: None, failure=describe(error))
        return [Entry(model, mode, failed, failed) for mode in modes]
    entries = []
    for mode in modes:
        try:
            network = _in_mode(subject, mode)
        except Exception as error:
            entries.append(
                Entry(model, mode, Contender(lambda: None, failure=describe(error)), floor)
            )
            continue
        timed = Contender(partial(step, subject, network, case))
        entries.append(Entry(model, mode, timed, floor, subject.resident_bytes))
    return entries


def _in_mode(subject: Subject, mode: str) -> Callable[..., Any]:
    if mode == 'eager':
        return subject.module
    if mode == ONNX:
        return onnx_session(subject.module, *subject.arguments)
    return torch.compile(subject.module, mode=None if mode == 'compiled' else mode)


def forward(subject: Subject, network: Callable[..., Any], case: Case) -> Any:
    """Run the forward pass of a case."""
    with torch.inference_mode(not case.training), case.autocast():
        return subject.forward(network)


def step(subject: Subject, network: Callable[..., Any], case: Case) -> None:
    """Run a step of a case: forward pass, in training backward pass."""
    outputs = forward(subject, network, case)
    if case.training:
        subject.backward(outputs)
        subject.module.zero_grad()  # so that no gradient takes memory meanwhile


def _finish(entry: Entry, case: Case, device: torch.device) -> Timing:
    """Measure the memory of a model and gather what was measured."""
    failure, peak = entry.step.failure, None
    if failure is None and entry.mode != ONNX:  # whose memory torch does not see
        try:
            peak = entry.resident_bytes + peak_growth(entry.step.run, device)
        except Exception as error:
            failure = f'memory: {describe(error)}'
    if failure is None and entry.floor.failure is not None:
        failure = f'its layers alone: {entry.floor.failure}'
    return Timing(
        entry.model,
        entry.mode,
        case,
        seconds=entry.step.seconds,
        floor_seconds=entry.floor.seconds,
        peak_bytes=peak,
        failure=failure,
    )
