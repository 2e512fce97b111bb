"""What a ``type`` of a config stands for, in the scope in which mmengine would build it."""

from collections import ChainMap
from collections.abc import Mapping
from contextlib import suppress
from functools import cache
from importlib import import_module
from typing import Any

from mmengine.registry import INFERENCERS, Registry, root
from mmengine.utils import get_object_from_string

ROOTS = [value for value in vars(root).values() if isinstance(value, Registry)]


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
