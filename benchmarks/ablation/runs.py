"""Many trainings, some at the same time, each kept when it is finished."""

import json
import logging
from collections.abc import Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from dataclasses import asdict
from pathlib import Path
from typing import NamedTuple

import torch
from mmengine.logging import MMLogger
from torch.multiprocessing import get_context  # its processes share tensors

from mmrsir.utils.errors import InvalidValueError

from .config_training import ConfigSettings, load_images, train_config
from .results import Outcome
from .tasks import Task, make_task
from .training import Settings, train


class Training(NamedTuple):
    task: str
    variant: str
    seed: int

    def file(self, out: Path) -> Path:
        name = self.variant.replace(', ', '-').replace(' ', '-').replace('=', '-')
        return out / 'trainings' / f'{self.task}-{name}-{self.seed}.json'


def keep_settings(settings: Settings | ConfigSettings, out: Path) -> None:
    file, wanted = out / 'settings.json', asdict(settings)
    if file.exists():
        known = json.loads(file.read_text())
        other = [
            f'{key}={known.get(key, "unknown")}'
            for key in {**known, **wanted}
            if known.get(key) != wanted.get(key)
        ]
        if other:
            raise InvalidValueError(
                f'{out} holds trainings with {", ".join(other)}: choose another --out'
            )
    (out / 'trainings').mkdir(parents=True, exist_ok=True)
    file.write_text(json.dumps(wanted, indent=2))


def run_all(
    trainings: Sequence[Training], settings: Settings | ConfigSettings, jobs: int, out: Path
) -> Iterator[Training]:
    names = {training.task for training in trainings}
    if isinstance(settings, ConfigSettings):
        tasks = {name: load_images(settings.config) for name in names}
    else:
        tasks = {name: make_task(name, settings.side, settings.pairs) for name in names}
    with ProcessPoolExecutor(jobs, get_context('spawn')) as pool:
        common = (settings, max(1, torch.get_num_threads() // jobs), out)
        running = {pool.submit(_run, one, tasks[one.task], *common): one for one in trainings}
        try:
            for future in as_completed(running):
                future.result()
                yield running[future]
        finally:
            pool.shutdown(cancel_futures=True)


def _run(
    training: Training, task: Task, settings: Settings | ConfigSettings, threads: int, out: Path
) -> None:
    MMLogger.get_current_instance().setLevel(logging.ERROR)  # it would list every parameter
    torch.set_num_threads(threads)
    torch.set_float32_matmul_precision('high')
    file = training.file(out)
    if isinstance(settings, ConfigSettings):
        checkpoint = out / 'checkpoints' / f'{file.stem}.pth'
        rows = train_config(training.variant, task, training.seed, settings, checkpoint)
    else:
        rows = train(training.variant, task, training.seed, settings)
    unfinished = file.with_suffix('.tmp')
    unfinished.write_text(json.dumps([asdict(row) for row in rows]))
    unfinished.replace(file)


def read_trainings(trainings: Sequence[Training], out: Path) -> list[Outcome]:
    files = [training.file(out) for training in trainings]
    return [
        Outcome(**row) for file in files if file.exists() for row in json.loads(file.read_text())
    ]
