"""Files and folders that a run reads: whether they exist."""

import os
from collections.abc import Collection, Iterator
from inspect import signature
from pathlib import Path
from typing import Any

from mmengine.config import Config
from mmengine.dataset import BaseDataset
from mmengine.fileio.backends import backends
from mmengine.model import PretrainedInit
from mmengine.registry import DATASETS
from mmengine.utils import is_abs

from ...utils.missing import nearest
from ...utils.suggestions import did_you_mean
from .refusal import ConfigError, Mistake
from .sections import find, sections


def check_paths(cfg: Config, splits: Collection[str]) -> Iterator[Mistake]:
    for setting, path in _paths(cfg, splits):
        if '://' not in path and not _exists(path):
            yield Mistake(setting, f'{path} does not exist{_nearest(path)}')


def check_backends(cfg: Config) -> None:
    """Refuse a storage that mmengine does not know, or that it cannot make of its settings."""
    for place, section, _ in sections(cfg):
        given = section.get('backend_args') or {}
        name, problem = given.get('backend'), ''
        if name is not None and name not in backends:
            problem = f'{name!r} is unknown{did_you_mean(name, backends)}'
        elif name is not None:
            try:
                signature(backends[name]).bind(**{k: given[k] for k in given if k != 'backend'})
            except TypeError as error:
                problem = f'{name!r} cannot be used: {error}'
        if problem:
            setting = '.'.join((*place, 'backend_args.backend'))
            known = ', '.join(map(repr, backends))
            raise ConfigError(
                f'{cfg.filename or "the config"}: {setting}={problem}; known: {known}'
            )


def _paths(cfg: Config, splits: Collection[str]) -> Iterator[tuple[str, str]]:
    loaders = [f'{split}_dataloader' for split in splits]
    evaluators = [f'{split}_evaluator' for split in splits]
    for place, section, scope in sections(cfg):
        found: dict[str, Any] = {}
        if not place:
            found = dict(load_from=section.get('load_from'))
        elif place[0] in loaders and 'type' in section:
            found = _of_data_set(section, scope)
        elif place[0] in evaluators and _is_local(section):
            found = dict(ann_file=section.get('ann_file'))
        # Only training initializes weights.
        elif place[0] == 'model' and 'train' in splits and is_pretrained(section):
            found = dict(checkpoint=section.get('checkpoint'))
        for key, path in found.items():
            if isinstance(path, str) and path:
                yield '.'.join((*place, key)), path


def is_pretrained(init_cfg: dict[str, Any]) -> bool:
    return init_cfg.get('type') in ('Pretrained', PretrainedInit)


def _of_data_set(settings: dict[str, Any], scope: str) -> dict[str, Any]:
    """Return the paths that a data set reads, by setting; none for what is no data set."""
    kind = settings['type']
    if isinstance(kind, str):
        kind = find(kind, scope, DATASETS)
    if not (isinstance(kind, type) and issubclass(kind, BaseDataset)) or not _is_local(settings):
        return {}
    download = signature(kind).parameters.get('download')
    if download is not None and settings.get('download', download.default):
        return {}
    prefix = settings.get('data_prefix')
    if isinstance(prefix, dict):
        given = {f'data_prefix.{key}': path for key, path in prefix.items()}
    else:
        given = dict(data_prefix=prefix)
    given['ann_file'] = settings.get('ann_file')
    paths = {key: path for key, path in given.items() if isinstance(path, str) and path}
    root = settings.get('data_root') or ''
    if root and not _exists(root) and not (paths and all(map(is_abs, paths.values()))):
        return dict(data_root=root)
    return {key: os.path.join(root, path) for key, path in paths.items()}


def _is_local(settings: dict[str, Any]) -> bool:
    return (settings.get('backend_args') or {}).get('backend', 'local') == 'local'


def _exists(path: str) -> bool:
    return os.path.exists(os.path.expanduser(path))


def _nearest(path: str) -> str:
    """Return the end of a message: what is missing of a path, and what is there instead."""
    missing = Path(path).expanduser()
    while not missing.parent.is_dir():
        missing = missing.parent
    return f': {missing.parent.absolute()} has no {missing.name!r}{nearest(path)}'
