"""How many epochs of a training by a config fit into a time."""

import json
import os
from collections.abc import Iterable
from dataclasses import replace
from pathlib import Path

import torch

from mmrsir.utils.errors import InvalidValueError

from .config_training import ConfigSettings, load_images, start_training
from .recipe import Recipe

STEPS = 64
SHARE = 0.9  # of the time that is for steps; tests and checkpoints take the rest


def epochs_within(
    minutes: float, settings: ConfigSettings, variants: Iterable[str], out: Path
) -> ConfigSettings:
    """Settle for the epochs that each of the trainings does within a time."""
    file = out / 'settings.json'
    if file.exists():
        return replace(settings, epochs=json.loads(file.read_text()).get('epochs'))
    slowest = max(_seconds_per_epoch(settings, variant) for variant in variants)
    epochs = min(int(60 * SHARE * minutes / slowest), Recipe(settings.config).epochs)
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
        return training.seconds_per_epoch(STEPS)
    finally:
        torch.set_float32_matmul_precision(before)
