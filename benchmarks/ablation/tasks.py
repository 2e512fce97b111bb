"""The tasks: pictures with one of a few answers each.

Shape suffixes: N pictures, S side in pixels.
"""

from dataclasses import dataclass, replace

import torch
from sklearn.datasets import load_digits
from sklearn.model_selection import train_test_split
from torch import Tensor
from torch.nn import functional as F

from .pairs import draw_pairs

TASKS = {'pairs': 2, 'digits': 10}  # number of possible answers
TEST_PAIRS = 2000  # the standard error of an accuracy is then 1.1 points at most
TEST_SHARE = 0.25  # of the digits
SHIFT = 0.1  # of a digit at most, in sides of the picture
SEED = 0  # of the pictures, which are the same for all that is compared


@dataclass(frozen=True)
class Pictures:
    images: Tensor  # uint8, (N, 3, S, S)
    answers: Tensor  # int64, (N,)

    def to(self, device: torch.device) -> 'Pictures':
        return replace(self, images=self.images.to(device), answers=self.answers.to(device))


@dataclass(frozen=True)
class Task:
    name: str
    classes: int  # possible answers
    train: Pictures
    test: Pictures

    def to(self, device: torch.device) -> 'Task':
        return replace(self, train=self.train.to(device), test=self.test.to(device))


def make_task(name: str, side: int, number: int) -> Task:
    if name == 'digits':
        return _digits(side)
    generator = torch.Generator().manual_seed(SEED)
    images, answers = draw_pairs(number + TEST_PAIRS, side, generator)
    train = Pictures(images[:number], answers[:number])
    return Task(name, TASKS[name], train, Pictures(images[number:], answers[number:]))


def _digits(side: int) -> Task:
    digits = load_digits()
    small_N1 = torch.from_numpy(digits.images).float().unsqueeze(1) * (255 / digits.images.max())
    large_N1 = F.interpolate(small_N1, size=(side, side), mode='bicubic').clamp(0, 255)
    images = large_N1.round().to(torch.uint8).expand(-1, 3, -1, -1)
    answers = torch.from_numpy(digits.target).long()
    train, test = train_test_split(
        torch.arange(len(answers)), test_size=TEST_SHARE, random_state=SEED, stratify=answers
    )
    parts = (Pictures(images[part].contiguous(), answers[part]) for part in (train, test))
    return Task('digits', TASKS['digits'], *parts)


def vary(images: Tensor, task: str) -> Tensor:
    """Change pictures at random in ways that keep the answer."""
    number, device = len(images), images.device
    maps_N23 = torch.zeros(number, 2, 3, device=device)
    if task == 'pairs':
        signs_N2 = torch.randint(2, (number, 2), device=device).float() * 2 - 1
        straight_N22 = torch.diag_embed(signs_N2)
        turned = torch.randint(2, (number, 1, 1), device=device) == 1
        maps_N23[:, :, :2] = torch.where(turned, straight_N22.flip(1), straight_N22)
    else:
        maps_N23[:, 0, 0] = maps_N23[:, 1, 1] = 1.0
        # The picture is two units wide.
        maps_N23[:, :, 2] = (torch.rand(number, 2, device=device) * 2 - 1) * 2 * SHIFT
    places = F.affine_grid(maps_N23, list(images.shape), align_corners=False)
    return F.grid_sample(images, places, align_corners=False)
