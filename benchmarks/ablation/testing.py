"""Test what was trained.

Shape suffixes: N pictures, K classes.
"""

from typing import Any

import torch
from torch import Tensor, nn

from .results import Outcome
from .tasks import Pictures, Task

BATCH = 500


@torch.inference_mode()
def probabilities(network: nn.Module, pictures: Pictures) -> Tensor:
    """Return the probabilities of the classes, (N, K); the network takes pixels of 0 to 255."""
    network.eval()
    parts = pictures.images.split(BATCH)
    return torch.cat([network(part.float()).softmax(1) for part in parts])


def accuracy(probabilities_NK: Tensor, pictures: Pictures) -> float:
    """Return the right answers in percent."""
    return 100 * (probabilities_NK.argmax(1) == pictures.answers).float().mean().item()


def evaluate(
    network: nn.Module, drawing: nn.Module | None, task: Task, draws: int, **known: Any
) -> list[Outcome]:
    """Test a network in each way that its windows allow.

    ``drawing`` is the same network with random windows; None where it has none. ``known`` is the
    rest of the outcomes.
    """
    found = {'fixed': probabilities(network, task.test)}
    if drawing is not None:
        drawn = torch.stack([probabilities(drawing, task.test) for _ in range(draws)])
        found |= {'random': drawn[0], f'mean of {draws} draws': drawn.mean(0)}
    return [
        Outcome(task=task.name, evaluation=way, accuracy=accuracy(one, task.test), **known)
        for way, one in found.items()
    ]
