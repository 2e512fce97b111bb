"""Checks of users' arguments, with errors that name the value and what is allowed."""

import re
from collections.abc import Collection, Sequence
from typing import Any

import torch
from torch import Tensor

from .errors import InvalidTypeError, InvalidValueError
from .suggestions import did_you_mean


def check_choice(name: str, value: Any, allowed: Collection[str | None]) -> None:
    """Raise an error that names the nearest match if a value is not one of those allowed."""
    if value in allowed:
        return
    hint = did_you_mean(value, [choice for choice in allowed if choice is not None])
    choices = ', '.join(repr(choice) for choice in allowed)
    raise InvalidValueError(f'{name}={value!r} is unknown; allowed: {choices}{hint}')


def check_int(name: str, value: Any, minimum: int, maximum: int | None = None) -> None:
    """Raise an error if a value is not an integer from ``minimum`` to ``maximum``, if any."""
    if isinstance(value, bool) or not isinstance(value, int):
        raise InvalidTypeError(f'{name}={value!r} must be an integer')
    if value < minimum or (maximum is not None and value > maximum):
        bound = f'at least {minimum}' if maximum is None else f'from {minimum} to {maximum}'
        raise InvalidValueError(f'{name}={value} must be {bound}')


def pick_device(name: str | None) -> str:
    """Return a device that can be used: a GPU where there is one, unless another is named."""
    if name is None:
        return 'cuda' if torch.cuda.is_available() else 'cpu'
    try:
        torch.empty(0, device=name)
    except (AssertionError, RuntimeError) as error:
        raise InvalidValueError(
            f'--device={name!r} must be cpu, or cuda or cuda:1 where there is a GPU'
        ) from error
    return name


def check_ints(name: str, values: Any, minimum: int, maximum: int | None = None) -> tuple[int, ...]:
    """Return a sequence of integers as a tuple, each checked by :func:`check_int`."""
    if isinstance(values, str) or not isinstance(values, Sequence):
        raise InvalidTypeError(f'{name}={values!r} must be a sequence of integers')
    for index, value in enumerate(values):
        check_int(f'{name}[{index}]', value, minimum, maximum)
    return tuple(values)


def check_out_indices(out_indices: Any, num_stages: int) -> tuple[int, ...]:
    """Return the stages whose output a backbone gives, ascending."""
    stages = check_ints('out_indices', out_indices, minimum=0, maximum=num_stages - 1)
    if len(set(stages)) != len(stages) or not stages:
        raise InvalidValueError(f'out_indices={stages} must name one stage or more, each once')
    return tuple(sorted(stages))


def check_images(x: Tensor, taker: object, channels: int = 3) -> None:
    """Raise an error, which names their taker, if images are not (B, C, H, W) with B, H, W >= 1."""
    if x.ndim != 4 or x.shape[1] != channels or 0 in x.shape:
        raise InvalidValueError(
            f'{type(taker).__name__} takes images of shape (B, {channels}, H, W) '
            f'with B, H, W >= 1, got {tuple(x.shape)}'
        )


def parse_size(text: str) -> tuple[int, int, int]:
    """Read height, width and batch from ``'224:4'`` or ``'800x1280:1'``."""
    found = re.fullmatch(r'([1-9]\d*)(?:x([1-9]\d*))?:([1-9]\d*)', text)
    if found is None:
        raise InvalidValueError(
            f'size {text!r} must be SIDE:BATCH or HEIGHTxWIDTH:BATCH, such as 224:4'
        )
    height, width, batch = found.groups()
    return int(height), int(width or height), int(batch)
