"""Names of our configs in the inferencers of mmdet, mmseg and mmpretrain.

mmpretrain has a registry of model names that anyone may add to. mmengine, whose inferencer mmdet
and mmseg extend, reads the names of the library itself only, hence they are added there.
"""

import importlib.util
import sys
from collections.abc import Iterator
from typing import Any

import yaml  # type: ignore[import-untyped]
from mmengine.infer import BaseInferencer

from ..engine.config_files import FOLDERS
from ..inheritance import root

_read_library = BaseInferencer._get_models_from_metafile


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
