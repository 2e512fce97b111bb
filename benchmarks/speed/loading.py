"""Images a second that a worker prepares for a training, beside those that the model takes."""

import random
import time
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from math import ceil
from typing import Any

import torch
from mmengine.config import Config
from mmengine.registry import DATASETS, init_default_scope
from rich.table import Table

from mmrsir.datasets.class_names import leaves
from mmrsir.engine.launch import read_config
from mmrsir.utils.errors import InvalidValueError

from .cases import Case
from .results import spread
from .runs import step
from .subjects import build
from .timing import stopwatch

WARMUP, IMAGES = 8, 96
CPU_BATCH = 16  # at most: a step of the config's batch may take minutes on a CPU


@dataclass
class Loading:
    """What one process needs for an image of a training.

    Args:
        config: The config.
        prepare: Median seconds in which a worker prepares an image.
        read: Those of them that reading and decoding the file takes.
        learn: Seconds an image of a training step, without the optimizer.
        case: What that step was.
        workers: The config's ``num_workers``.
    """

    config: str
    prepare: float
    read: float
    learn: float
    case: Case
    workers: int

    @property
    def workers_needed(self) -> int:
        """Workers that keep the model busy, each on a core of its own."""
        return ceil(self.prepare / self.learn)


def measure_loading(
    source: str, precision: str, device: torch.device, warmup: int, repeats: int
) -> Loading:
    """Time the training pipeline of a config on its own images, and a step of its model.

    Raises:
        InvalidValueError: The config has no pipeline, or its images are missing.
    """
    cfg = read_config(source, None)
    init_default_scope(cfg.default_scope)
    dataset = _build_dataset(cfg, source)
    reading: list[float] = []
    for part in leaves(dataset):
        transforms = part.pipeline.transforms
        for place, transform in enumerate(transforms):
            if type(transform).__name__.startswith('LoadImage'):
                transforms[place] = partial(_timed, transform, reading)
    chooser = random.Random(0)
    preparing: list[float] = []
    for _ in range(WARMUP + IMAGES):
        sample = _timed(dataset.__getitem__, preparing, chooser.randrange(len(dataset)))
    height, width = sample['inputs'].shape[-2:]
    batch = cfg.train_dataloader.batch_size
    batch = batch if device.type == 'cuda' else min(batch, CPU_BATCH)
    case = Case('training', height, width, batch, precision, str(device))
    subject = build(f'config:{source}', case)
    run = partial(step, subject, subject.module, case)
    measure = stopwatch(device)
    seconds = [measure(run) for _ in range(warmup + repeats)][warmup:]
    return Loading(
        config=source,
        prepare=spread(preparing[WARMUP:]).median,
        read=spread(reading[WARMUP:]).median if reading else 0.0,
        learn=spread(seconds).median / batch,
        case=case,
        workers=cfg.train_dataloader.get('num_workers', 0),
    )


def render_loading(loading: Loading) -> Table:
    """Show images a second, and the workers that follow from them."""
    table = Table(title=f'{loading.config}: images a second', title_justify='left')
    table.add_column('what')
    table.add_column('images a second', justify='right')
    rates = {
        'a worker: reading and decoding alone': loading.read,
        'a worker: the whole training pipeline': loading.prepare,
        f'the model: {loading.case}': loading.learn,
    }
    for what, seconds in rates.items():
        table.add_row(what, f'{1 / seconds:.0f}' if seconds else '-')
    needed, has = loading.workers_needed, loading.workers
    table.caption = f'Workers that keep the model busy: {needed}. The config has {has}.'
    return table


def _build_dataset(cfg: Config, source: str) -> Any:
    if 'train_dataloader' not in cfg:
        raise InvalidValueError(f'--loading={source} has no train_dataloader: name a training')
    try:
        return DATASETS.build(cfg.train_dataloader.dataset)
    except FileNotFoundError as error:
        raise InvalidValueError(
            f'--loading={source} needs the images of its training: {error}. Its head says how to '
            'get them'
        ) from error


def _timed(call: Callable[[Any], Any], seconds: list[float], argument: Any) -> Any:
    begun = time.perf_counter()
    result = call(argument)
    seconds.append(time.perf_counter() - begun)
    return result
