"""Walks through the settings of a config: what they hold, whatever wraps it."""

from collections.abc import Iterator, Mapping
from typing import Any


def walk_settings(settings: Any) -> Iterator[dict[str, Any]]:
    """Yield all dictionaries in settings, the outer ones first."""
    if isinstance(settings, dict):
        yield settings
        settings = list(settings.values())
    for one in settings if isinstance(settings, (list, tuple)) else ():
        yield from walk_settings(one)


def below_wrappers(settings: Any) -> Iterator[Any]:
    """Yield the data sets that RepeatDataset, ConcatDataset and their like are made of.

    A data set that is built already is one of them.
    """
    if not isinstance(settings, dict):
        yield settings
    elif 'dataset' in settings:
        yield from below_wrappers(settings['dataset'])
    elif 'datasets' in settings:
        for part in settings['datasets']:
            yield from below_wrappers(part)
    else:
        yield settings


def as_list(settings: Any) -> list[Any]:
    return list(settings) if isinstance(settings, (list, tuple)) else [settings] if settings else []


def type_name(settings: Mapping[str, Any]) -> str:
    """Return the type of a part of a config without its module or scope; '' where it has none."""
    kind = settings.get('type') or ''
    return str(getattr(kind, '__name__', kind)).rpartition('.')[2]


def transforms_of(settings: Any, kind: str) -> Iterator[dict[str, Any]]:
    """Yield the settings of all transforms of a type, whatever scope it has."""
    return (one for one in walk_settings(settings) if type_name(one) == kind)
