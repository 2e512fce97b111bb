"""What the configs of a training and of its checkpoint say differently, one line a setting."""

import textwrap
from collections.abc import Iterator, Mapping
from typing import Any

from ...checkpoints.config_text import read_settings
from ...utils.settings import type_name

WIDTH = 160  # of a value in a line
SECTIONS = ('model', 'train_dataloader', 'val_dataloader', 'val_evaluator')
# What changes no result, or nothing after the start.
WITHOUT_EFFECT = {
    'init_cfg',
    'pretrained',
    'with_cp',
    'num_workers',
    'persistent_workers',
    'pin_memory',
    'prefetch_factor',
    'lazy_init',
    'serialize_data',
}


class _Unset:
    """Stands for the value of a setting that a config does not have."""


# What an optimizer wrapper takes from the config, beside its optimizer, and the default.
OF_WRAPPER = {'accumulative_counts': 1, 'clip_grad': _Unset}


def read_config(checkpoint: dict[str, Any]) -> dict[str, Any]:
    try:
        return read_settings(checkpoint['meta'].get('cfg', ''))
    except (SyntaxError, TypeError, ValueError):  # others write it in another way
        return {}


def wrappers(settings: Mapping[str, Any]) -> dict[str, dict[str, Any]]:
    """Return the settings of each optimizer wrapper of a config, by their place in it."""
    given = settings.get('optim_wrapper')
    if not isinstance(given, dict):
        return {}
    named = {'': given} if 'optimizer' in given else given
    return {
        f'optim_wrapper.{name}'.rstrip('.'): one
        for name, one in named.items()
        if isinstance(one, dict) and isinstance(one.get('optimizer'), dict)
    }


def compare_configs(cfg: Mapping[str, Any], before: Mapping[str, Any]) -> Iterator[str]:
    configured = _sections(cfg)
    for name, learned in _sections(before).items():
        for difference in _differences(configured.get(name, _Unset), learned, name):
            yield from_config(*difference)


def _sections(settings: Mapping[str, Any]) -> dict[str, Any]:
    sections = {name: settings[name] for name in SECTIONS if settings.get(name)}
    model = sections.get('model')
    if isinstance(model, Mapping):  # the runner puts the preprocessor into it
        sections['model'] = {'data_preprocessor': settings.get('data_preprocessor'), **model}
    for place, wrapper in wrappers(settings).items():
        sections[place] = {
            name: wrapper.get(name) or default for name, default in OF_WRAPPER.items()
        }
    return sections


def from_config(setting: str, now: Any, before: Any) -> str:
    if now is None:
        return f'{setting}: the config does not set it; the checkpoint has {before}.'
    if before is None:
        return f'{setting}: {now} of the config is used; the checkpoint does not set it.'
    return f'{setting}: {now} of the config is used, not {before} of the checkpoint.'


def trains_by_iterations(settings: Mapping[str, Any]) -> bool | None:
    """Return None where the config does not say."""
    loop = settings.get('train_cfg') or {}
    kind = str(loop.get('type', ''))
    if kind.endswith(('EpochBasedTrainLoop', 'IterBasedTrainLoop')):
        return kind.endswith('IterBasedTrainLoop')
    return not loop['by_epoch'] if 'by_epoch' in loop else None


def _differences(now: Any, before: Any, place: str) -> Iterator[tuple[str, str | None, str | None]]:
    """Yield the place of each setting that differs, and both values; None where it is not set.

    Settings of parts that have another type are not compared: the part is one difference.
    """
    both = now, before
    if all(isinstance(one, Mapping) for one in both) and type_name(now) == type_name(before):
        for name in dict.fromkeys([*now, *before]):
            if name not in WITHOUT_EFFECT and name != 'type':
                one, other = now.get(name, _Unset), before.get(name, _Unset)
                yield from _differences(one, other, f'{place}.{name}')
    elif all(map(_has_parts, both)) and len(now) == len(before):
        for index, (one, other) in enumerate(zip(now, before, strict=True)):
            yield from _differences(one, other, f'{place}.{index}')
    elif plain(now) != plain(before):
        yield place, _shown(now), _shown(before)


def _has_parts(value: Any) -> bool:
    return isinstance(value, (list, tuple)) and any(isinstance(one, Mapping) for one in value)


def plain(value: Any) -> Any:
    """Return a list for a tuple, and the name of a class, so that what is equal compares so."""
    if isinstance(value, Mapping):
        return {name: plain(one) for name, one in value.items()}
    if isinstance(value, (list, tuple)):
        return [plain(one) for one in value]
    return getattr(value, '__name__', value)


def _shown(value: Any) -> str | None:
    if value is _Unset:
        return None
    if isinstance(value, Mapping) and 'type' in value:
        return type_name(value)
    text = str(plain(value))
    if _has_parts(value):
        text = f'[{", ".join(_shown(one) or "" for one in value)}]'
    return textwrap.shorten(text, WIDTH, placeholder=' …')
