"""Mistakes in a config, and the error that names them."""

from collections.abc import Iterable
from typing import NamedTuple

from mmengine.config import Config

from ...utils.errors import UserError


class ConfigError(UserError, ValueError):
    """Settings of a config are unknown."""


class Mistake(NamedTuple):
    """A setting, as ``--cfg-options`` takes it, and what is wrong with it."""

    setting: str
    problem: str


def refuse(
    cfg: Config, what: str, mistakes: Iterable[Mistake], kind: type[UserError] = ConfigError
) -> None:
    """Raise an error that names all mistakes but those that the config does not want checked."""
    unchecked = cfg.get('unchecked_settings') or []
    if isinstance(unchecked, str):  # as --cfg-options hands over a single one
        unchecked = [unchecked]
    wrong = [
        one
        for one in mistakes
        if not any(f'{one.setting}.'.startswith(f'{name}.') for name in unchecked)
    ]
    if not wrong:
        return
    settings = ','.join(one.setting for one in wrong)
    raise kind(
        '\n'.join(
            [
                f'{cfg.filename or "the config"} {what}:',
                *(f'  {one.setting}: {one.problem}' for one in wrong),
                f'If all of them are intended: --cfg-options unchecked_settings="[{settings}]"',
            ]
        )
    )
