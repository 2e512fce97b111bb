"""Train a backbone on a task, and test it.

Shape suffixes: N pictures, S side in pixels, K classes.
"""

import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from mmrsir.analysis.flops import count_module
from mmrsir.models import PyramidTransformer

from .results import Outcome
from .tasks import Task, vary
from .testing import evaluate
from .variants import build_variant

LEARNING_RATE = 1e-3
WEIGHT_DECAY = 0.05
WARMUP = 0.1  # share of the steps
MAX_NORM = 5.0  # of the gradient
SAMPLED = 'rsir'  # the variant whose ways of evaluation are compared


@dataclass(frozen=True)
class Settings:
    """What is the same for all trainings that are compared."""

    side: int  # of the pictures, in pixels
    pairs: int  # to learn from
    steps: int  # of the optimizer
    batch: int  # pictures of a step
    draws: int  # of random windows, whose predictions are averaged
    window_size: int  # side of a window in tokens
    device: str


class Classifier(nn.Module):
    """A backbone with a linear layer on the mean of its last stage, for the pictures of a task."""

    mean: Tensor
    deviation: Tensor

    def __init__(self, backbone: PyramidTransformer, task: Task) -> None:
        super().__init__()
        self.backbone = backbone
        self.head = nn.Linear(backbone.out_channels[-1], task.classes)
        pixels = task.train.images.float()
        self.register_buffer('mean', pixels.mean())
        self.register_buffer('deviation', pixels.std())

    def forward(self, images: Tensor) -> Tensor:
        """Return the scores of the classes, (N, K), for pictures of 0 to 255, (N, 3, S, S)."""
        maps = self.backbone((images - self.mean) / self.deviation)
        return self.head(maps[-1].mean((2, 3)))


def train(variant: str, task: Task, seed: int, settings: Settings) -> list[Outcome]:
    torch.manual_seed(seed)
    begun = time.perf_counter()
    device = torch.device(settings.device)
    network = Classifier(build_variant(variant, settings.window_size), task)
    image = torch.zeros(1, 3, settings.side, settings.side)
    cost = count_module(network.eval(), image)
    network.to(device)
    task = task.to(device)
    _fit(network.train(), task, settings)
    seconds = round(time.perf_counter() - begun, 1)
    drawing = None
    if variant == SAMPLED:
        backbone = build_variant(variant, settings.window_size, eval_sampling='random')
        drawing = Classifier(backbone, task).to(device)
        drawing.load_state_dict(network.state_dict())
    known = dict(variant=variant, seed=seed, params=cost.params, flops=cost.flops, seconds=seconds)
    return evaluate(network, drawing, task, settings.draws, **known)


def _fit(network: Classifier, task: Task, settings: Settings) -> None:
    device = task.train.images.device
    step: Callable[..., Any] = network
    if device.type == 'cuda':  # recorded once: these networks are too small to keep a GPU busy
        sample = torch.zeros(settings.batch, 3, settings.side, settings.side, device=device)
        step = torch.cuda.make_graphed_callables(network, (sample,))
    optimizer = torch.optim.AdamW(
        network.parameters(), LEARNING_RATE, weight_decay=WEIGHT_DECAY, fused=True
    )
    schedule = torch.optim.lr_scheduler.OneCycleLR(
        optimizer, LEARNING_RATE, settings.steps, pct_start=WARMUP, cycle_momentum=False
    )
    for _ in range(settings.steps):
        chosen = torch.randint(len(task.train.answers), (settings.batch,), device=device)
        images = vary(task.train.images[chosen].float(), task.name)
        loss = F.cross_entropy(step(images), task.train.answers[chosen])
        optimizer.zero_grad()
        loss.backward()
        nn.utils.clip_grad_norm_(network.parameters(), MAX_NORM)
        optimizer.step()
        schedule.step()
