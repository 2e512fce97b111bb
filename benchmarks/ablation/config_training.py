"""Train and test a classifier by its config, with all images on one device.

What tools/train.py does image by image in worker processes, this does for whole batches: on a GPU
the network, not the loading, takes the time. A training is kept after each epoch and goes on
from there. Its checkpoint is one of mmengine's: ``tools/test.py CONFIG CHECKPOINT`` reads it.

Shape suffixes: N images, K classes.
"""

import json
import os
import sys
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace
from functools import cache
from pathlib import Path
from typing import Any

import torch
from mmengine.runner import save_checkpoint
from torch import Tensor, nn

from mmrsir.analysis.flops import count_module
from mmrsir.checkpoints.reading import read_checkpoint
from mmrsir.engine.hooks.progressive_resizing import resize
from mmrsir.engine.loops import random_state
from mmrsir.utils.errors import InvalidValueError
from mmrsir.utils.files import draft_of, settle

from .recipe import Recipe, Scores
from .results import Outcome
from .tasks import Task
from .testing import accuracy, evaluate, probabilities
from .variants import CONFIG_VARIANTS

AHEAD = 4096  # images that are augmented at once, for steps to come: as many calls as for few
MEASURED_STEPS = 64  # by which the time of an epoch is measured
STEPS_SHARE = 0.9  # of the time that is for steps; tests and checkpoints take the rest
PRECISIONS = {'fp32': torch.float32, 'bf16': torch.bfloat16}


@dataclass(frozen=True)
class ConfigSettings:
    """What is the same for all trainings that are compared."""

    config: str  # path or name
    draws: int  # of random windows, whose predictions are averaged
    device: str
    precision: str = 'fp32'  # of trainings; tests are in float32
    epochs: int | None = None  # in place of the config's


@cache
def load_images(config: str) -> Task:
    """Read all images of a config, once."""
    return Recipe(config).load()


def start_training(
    variant: str, task: Task, seed: int, settings: ConfigSettings, checkpoint: Path
) -> '_Training':
    recipe, dtype = Recipe(settings.config, settings.epochs), PRECISIONS[settings.precision]
    return _Training(recipe, variant, task, seed, settings.device, checkpoint, dtype)


def train_config(
    variant: str, task: Task, seed: int, settings: ConfigSettings, checkpoint: Path
) -> list[Outcome]:
    training = start_training(variant, task, seed, settings, checkpoint)
    training.run()
    return training.test(settings.draws)


class _Training:
    def __init__(
        self,
        recipe: Recipe,
        variant: str,
        task: Task,
        seed: int,
        device: str,
        checkpoint: Path,
        dtype: torch.dtype = torch.float32,
    ) -> None:
        torch.manual_seed(seed)
        self.recipe, self.variant, self.seed, self.checkpoint = recipe, variant, seed, checkpoint
        self.device = torch.device(device)
        self.task = task.to(self.device)
        self.steps = len(task.train.answers) // recipe.batch_size
        self.model = recipe.build_model(variant).to(self.device)
        self.optimizer, self.schedulers = recipe.build_optimizer(self.model, self.steps)
        self.ema = recipe.build_ema(self.model)
        self.augments = self.model.data_preprocessor.batch_augments
        self.dtype = dtype
        # Both take a while, and are the same for each checkpoint.
        self.described = dict(dataset_meta=recipe.dataset_meta(), cfg=recipe.config_text(variant))
        self.epoch, self.seconds = 0, 0.0
        if checkpoint.exists():
            self._resume()

    def run(self) -> None:
        side: int | None = None
        forward: Callable[[Tensor], Tensor] | None = None
        resizing = self.recipe.resizing
        while self.epoch < self.recipe.epochs:
            begun = time.perf_counter()
            self.model.train()
            wanted = None if resizing is None else resizing.side(self.epoch)
            if forward is None or wanted != side:
                side, forward = wanted, self._recorded(wanted)
            loss = self._run_epoch(forward, side, self.steps)
            for scheduler in self.schedulers:
                if scheduler.by_epoch:
                    scheduler.step()
            self.epoch += 1
            self.seconds += time.perf_counter() - begun
            self._save()
            left = (self.recipe.epochs - self.epoch) * self.seconds / self.epoch
            tested = ''
            if self.epoch % 5 == 0 or self.epoch == self.recipe.epochs:
                test = self.task.test
                reached = accuracy(probabilities(Scores(self.model), test), test)
                tested = f', top-1 {reached:.2f}'
            print(
                f'{self.recipe.name}, {self.variant}, seed {self.seed}: epoch {self.epoch} of '
                f'{self.recipe.epochs}, loss {loss:.3f}{tested}, {self.seconds / 60:.0f} minutes, '
                f'about {left / 60:.0f} more',
                file=sys.stderr,
                flush=True,
            )

    def seconds_per_epoch(self, steps: int) -> float:
        """Take some steps with the largest images, and return what an epoch of them would take."""
        resizing = self.recipe.resizing
        side = None if resizing is None else max(resizing.sides)
        self.model.train()
        forward = self._recorded(side)
        steps = min(steps, self.steps)
        self._run_epoch(forward, side, steps)  # all is compiled and allocated after this
        begun = time.perf_counter()
        self._run_epoch(forward, side, steps)
        return (time.perf_counter() - begun) / steps * self.steps

    def _run_epoch(
        self, forward: Callable[[Tensor], Tensor], side: int | None, steps: int
    ) -> float:
        train, size = self.task.train, self.recipe.batch_size
        shuffled = torch.randperm(len(train.answers))[: steps * size].to(self.device)
        total = torch.zeros((), device=self.device)
        for ahead in shuffled.split(max(1, AHEAD // size) * size):
            images = train.images[ahead]
            for transform in self.recipe.transforms:
                images = transform(images)
            batches = zip(images.split(size), train.answers[ahead].split(size), strict=True)
            for batch, answers in batches:
                resized = batch.float() if side is None else resize(batch, side)
                total += self._step(forward, resized, answers)
        return (total / steps).item()

    def _step(self, forward: Callable[[Tensor], Tensor], images: Tensor, target: Tensor) -> Tensor:
        if self.augments is not None:
            one_hot_NK = nn.functional.one_hot(target, self.task.classes).float()
            images, target = self.augments(images, one_hot_NK)
        with self.optimizer.optim_context(self.model):
            scores_NK = forward(images)
            loss = self.model.head.loss_module(scores_NK, target, avg_factor=len(images))
        self.optimizer.update_params(loss)
        if self.ema is not None:
            self.ema.update_parameters(self.model)
        for scheduler in self.schedulers:
            if not scheduler.by_epoch:
                scheduler.step()
        return loss.detach()

    def _recorded(self, side: int | None) -> Callable[[Tensor], Tensor]:
        """Return the network, on a GPU recorded as a graph: single calls do not keep it busy."""
        scores = Scores(self.model, self.dtype)  # recorded for images of one size
        if self.device.type != 'cuda':
            return scores
        channels, height, width = self.task.train.images.shape[1:]
        size = (self.recipe.batch_size, channels, side or height, side or width)
        sample = torch.zeros(size, device='cuda')
        with self.optimizer.optim_context(self.model):
            graphed: Callable[[Tensor], Tensor] = torch.cuda.make_graphed_callables(  # type: ignore[assignment]
                scores, (sample,)
            )
        return graphed

    def test(self, draws: int) -> list[Outcome]:
        """Test the trained classifier in each way that its windows allow."""
        image = torch.zeros(1, *self.task.test.images.shape[1:])
        cost = count_module(Scores(self.recipe.build_model(self.variant)).eval(), image)
        drawing = None
        if 'rs' in CONFIG_VARIANTS[self.variant].get('mixers', ('rs',)):
            model = self.recipe.build_model(self.variant, eval_sampling='random').to(self.device)
            model.load_state_dict(self.trained.state_dict())
            drawing = Scores(model)
        return evaluate(
            Scores(self.trained),
            drawing,
            self.task,
            draws,
            variant=self.variant,
            seed=self.seed,
            params=cost.params,
            flops=cost.flops,
            seconds=round(self.seconds, 1),
        )

    @property
    def trained(self) -> Any:
        """What is tested: the average of the weights, if there is one."""
        return self.model if self.ema is None else self.ema.module

    def _save(self) -> None:
        state: dict[str, Any] = dict(
            meta=dict(
                epoch=self.epoch,
                iter=self.epoch * self.steps,
                seed=self.seed,
                seconds=self.seconds,
                **self.described,
            ),
            state_dict=self.trained.state_dict(),
            optimizer=self.optimizer.state_dict(),
            param_schedulers=[one.state_dict() for one in self.schedulers],
            random_state=random_state.capture(),
        )
        if self.ema is not None:
            state['trained'] = self.model.state_dict()
            state['ema_steps'] = self.ema.steps
        self.checkpoint.parent.mkdir(parents=True, exist_ok=True)
        save_checkpoint(state, str(draft_of(self.checkpoint)))
        settle(self.checkpoint)

    def _resume(self) -> None:
        state = read_checkpoint(str(self.checkpoint))
        self.model.load_state_dict(state.get('trained', state['state_dict']))
        if self.ema is not None:
            self.ema.module.load_state_dict(state['state_dict'])
            self.ema.steps.copy_(state['ema_steps'])
        self.optimizer.load_state_dict(state['optimizer'])
        for scheduler, kept in zip(self.schedulers, state['param_schedulers'], strict=True):
            scheduler.load_state_dict(kept)
        random_state.restore(state['random_state'])
        self.epoch, self.seconds = state['meta']['epoch'], state['meta']['seconds']


def epochs_within(
    minutes: float, settings: ConfigSettings, variants: Iterable[str], out: Path
) -> ConfigSettings:
    """Settle for the epochs that each of the trainings does within a time."""
    file = out / 'settings.json'
    if file.exists():
        return replace(settings, epochs=json.loads(file.read_text()).get('epochs'))
    slowest = max(_seconds_per_epoch(settings, variant) for variant in variants)
    epochs = min(int(60 * STEPS_SHARE * minutes / slowest), Recipe(settings.config).epochs)
    if epochs < 2:
        raise InvalidValueError(
            f'--minutes={minutes:g} is too short: an epoch takes {slowest:.0f} seconds'
        )
    print(f'an epoch takes {slowest:.1f} seconds at most: {epochs} epochs')
    return replace(settings, epochs=epochs)


def _seconds_per_epoch(settings: ConfigSettings, variant: str) -> float:
    before = torch.get_float32_matmul_precision()
    torch.set_float32_matmul_precision('high')  # as trainings have it
    try:
        images = load_images(settings.config)
        training = start_training(variant, images, 0, settings, Path(os.devnull) / 'no_checkpoint')
        return training.seconds_per_epoch(MEASURED_STEPS)
    finally:
        torch.set_float32_matmul_precision(before)
