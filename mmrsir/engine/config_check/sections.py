"""The sections of a config: its dicts, each with its place, and what their ``type`` stands for."""

from collections import ChainMap
from collections.abc import Iterator, Mapping
from contextlib import suppress
from functools import cache
from importlib import import_module
from inspect import signature
from typing import Any, TypeVar

from mmengine.config import Config
from mmengine.registry import INFERENCERS, Registry, root
from mmengine.runner import FlexibleRunner, Runner
from mmengine.utils import get_object_from_string

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

ROOTS = [value for value in vars(root).values() if isinstance(value, Registry)]

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


def find(name: str, scope: str, registry: Registry | None = None) -> Any:
    """Find what ``Name``, ``library.Name`` or ``package.module.Name`` is, as mmengine does."""
    library, dot, rest = name.partition('.')
    if not dot:
        return names(scope, registry).get(name)
    return names(library, registry).get(rest) or get_object_from_string(name)


def names(scope: str, registry: Registry | None = None) -> Mapping[str, Any]:
    """Return what a library can build, by name: from a root registry, or from any."""
    own = _registries(scope)
    if not own:
        return {}
    nodes = [*own, *ROOTS]
    if registry is not None:
        nodes = [registry.children.get(scope, registry), registry]
    for node in nodes:
        node.import_from_location()
    return ChainMap(*(node.module_dict for node in nodes))


@cache
def _registries(library: str) -> list[Registry]:
    """Return the registries of a library that a training or test builds from."""
    found = [node.children.get(library) for node in ROOTS]
    with suppress(ImportError):
        found += vars(import_module(f'{library}.registry')).values()
    return [
        value for value in found if isinstance(value, Registry) and value.root is not INFERENCERS
    ]
