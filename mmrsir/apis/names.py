"""Names of our configs in the inferencers of mmdet, mmseg and mmpretrain.

mmpretrain has a registry of model names that anyone may add to. mmengine, whose inferencer mmdet
and mmseg extend, reads the names of the library itself only, hence they are added there.
"""

import importlib.util
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import yaml  # type: ignore[import-untyped]
from mmengine.infer import BaseInferencer

from ..models.arguments import check_choice

FOLDERS = {'mmdet': 'mask_rcnn', 'mmseg': 'upernet', 'mmpretrain': 'cls'}
_read_library = BaseInferencer._get_models_from_metafile


def root() -> Path:
    """Return the folder that has ``configs``, of the repository or of the installed package."""
    return Path(BaseInferencer._get_repo_or_mim_dir('mmrsir'))


def read_metafiles(scope: str) -> Iterator[dict[str, Any]]:
    """Read what the metafiles say of our configs for a library.

    Args:
        scope: ``'mmdet'``, ``'mmseg'`` or ``'mmpretrain'``.

    Yields:
        The entry of each model, with the absolute path of its config.
    """
    for metafile in sorted((root() / 'configs' / FOLDERS[scope]).rglob('metafile.yml')):
        for model in yaml.safe_load(metafile.read_text(encoding='utf-8'))['Models']:
            yield {'Weights': None, **model, 'Config': str(root() / model['Config'])}


def find_config(name: str) -> Path:
    """Find one of our configs.

    Args:
        name: A path, or ``<folder>/<name>`` such as ``mask_rcnn/rsir_t_1x_coco``, or the name alone
            where only one folder has it.

    Returns:
        Path of the config.

    Raises:
        ValueError: There is none, or more than one; names the nearest.
    """
    if Path(name).is_file():
        return Path(name)
    configs = root() / 'configs'
    known = {
        str(path.relative_to(configs).with_suffix('')): path
        for folder in FOLDERS.values()
        for path in sorted((configs / folder).rglob('*.py'))
    }
    alike = [key for key in known if key == name or key.endswith(f'/{name}')]
    if len(alike) > 1:
        raise ValueError(f'{name} is the name of {len(alike)} configs: {", ".join(alike)}')
    key = alike[0] if alike else name
    check_choice('config', key, list(known))
    return known[key]


def register() -> None:
    """Add our names to those that the inferencers know."""
    BaseInferencer._get_models_from_metafile = staticmethod(_read_all)
    if importlib.util.find_spec('mmpretrain') is not None:
        from mmpretrain.apis import ModelHub

        for metafile in sorted((root() / 'configs' / FOLDERS['mmpretrain']).rglob('metafile.yml')):
            ModelHub.register_model_index(metafile, config_prefix=root())


def _read_all(folder: str) -> Iterator[dict[str, Any]]:
    """Read the models of a library's folder, then ours for that library."""
    yield from _read_library(folder)
    for scope in ('mmdet', 'mmseg'):
        if scope in sys.modules and folder == BaseInferencer._get_repo_or_mim_dir(scope):
            yield from read_metafiles(scope)
