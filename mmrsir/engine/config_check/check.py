"""The check of a config."""

from collections.abc import Collection, Iterable

from mmengine.config import Config

from ...utils.errors import UserError
from ...utils.missing import MissingPathError
from .mistakes import Mistake
from .paths import check_paths
from .setting_names import check_names
from .type_names import check_types


class ConfigError(UserError, ValueError):
    """Settings of a config are unknown."""


def check_config(cfg: Config, splits: Collection[str]) -> None:
    """Check the settings of a config, and that the files and folders exist that a run reads."""
    refuse(cfg, 'has wrong settings', [*check_names(cfg), *check_types(cfg)])
    missing = _checked(cfg, check_paths(cfg, splits))
    if missing:
        raise MissingPathError(_report(cfg, 'names what does not exist', missing))


def refuse(cfg: Config, what: str, mistakes: Iterable[Mistake]) -> None:
    """Refuse a config for mistakes in it, except for those that are meant."""
    wrong = _checked(cfg, mistakes)
    if wrong:
        raise ConfigError(_report(cfg, what, wrong))


def _checked(cfg: Config, mistakes: Iterable[Mistake]) -> list[Mistake]:
    """Return the mistakes outside of what the config does not want checked."""
    unchecked = cfg.get('unchecked_settings') or []
    if isinstance(unchecked, str):  # as --cfg-options hands over a single one
        unchecked = [unchecked]
    return [
        mistake
        for mistake in mistakes
        if not any(f'{mistake.setting}.'.startswith(f'{name}.') for name in unchecked)
    ]


def _report(cfg: Config, what: str, mistakes: list[Mistake]) -> str:
    lines = [f'{cfg.filename or "the config"} {what}:']
    lines += [f'  {one.setting}: {one.problem}' for one in mistakes]
    settings = ','.join(one.setting for one in mistakes)
    lines.append(f'Where all is meant so: --cfg-options unchecked_settings="[{settings}]"')
    return '\n'.join(lines)
