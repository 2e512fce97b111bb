"""The sections of a config: its dicts, each with its place."""

from collections.abc import Iterator, Mapping
from inspect import signature
from typing import Any, TypeVar

from mmengine.config import Config
from mmengine.runner import FlexibleRunner, Runner

# Read at the top of a config by mmengine's runners and by the tools. Everything else there is a
# variable that helps to write the config.
READ = {
    *signature(Runner).parameters,
    *signature(FlexibleRunner).parameters,
    'activation_checkpointing',
    'custom_imports',
    'efficient_conv_bn_eval',
    'find_unused_parameters',
    'init_weights_for_test_or_val',
    'model_wrapper_cfg',
    'resume_schedule',
    'runner_type',
    'sync_bn',
    'unchecked_settings',
} - {'cfg'}
# What is below these is built without mmengine: operators of mmcv, transforms of albumentations.
FOREIGN_SETTINGS = ('roi_layer',)
FOREIGN_TYPES = ('Albu', 'Albumentations')

Path = tuple[str, ...]
T = TypeVar('T')


def sections(cfg: Config) -> Iterator[tuple[Path, dict[str, Any], str]]:
    """Yield the path of each section that is read, the section, and the scope it is built in."""
    yield (), cfg._cfg_dict, cfg.default_scope
    for key in cfg:
        if key in READ:
            yield from _sections(cfg[key], (key,), cfg.default_scope)


def of_place(table: Mapping[str, T], path: Path) -> T | None:
    """Return what a table has for a path, or for its folder and ``*``; None if nothing."""
    return table.get('.'.join(path), table.get('.'.join((*path[:-1], '*'))))


def _sections(value: Any, path: Path, scope: str) -> Iterator[tuple[Path, dict[str, Any], str]]:
    if isinstance(value, dict):
        scope = value.get('_scope_', scope)
        yield path, value, scope
        if value.get('type') in FOREIGN_TYPES:
            return
        items = [(key, value[key]) for key in value if key not in FOREIGN_SETTINGS]
    elif isinstance(value, (list, tuple)):
        items = [(str(index), item) for index, item in enumerate(value)]
    else:
        return
    for key, item in items:
        yield from _sections(item, (*path, key), scope)
