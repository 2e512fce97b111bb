"""What inference needs of a config: how images are prepared, and the classes; no data set."""

import logging
from collections.abc import Iterator, Mapping
from copy import deepcopy
from typing import Any

from mmengine.config import Config, ConfigDict
from mmengine.logging import print_log
from mmengine.registry import DATASETS, init_default_scope

from ..utils.errors import UserError
from ..utils.settings import type_name
from ..visualization.dataset import visualizer_settings

# Data sets that the inferencers of the libraries take without files.
STAND_INS = {'mmdet': 'BaseDetDataset', 'mmseg': 'BaseSegDataset', 'mmpretrain': 'BaseDataset'}
# Of a training's transforms, those that prepare an image as a test does.
PREPARING = ('LoadImageFromFile', 'Resize', 'ResizeEdge', 'CenterCrop', 'Pad')
EVALUATED_SHARE = 0.875  # of an image's short side, of which classifiers see the middle


class NoPipelineError(UserError, ValueError):
    """A config does not say how images are prepared."""


def prepare(cfg: Config, meta: Mapping[str, Any]) -> None:
    """Put what the inferencers read of a config's data in place of its data sets.

    The ``dataset_meta`` in the ``meta`` of a checkpoint has the classes; where it is missing, the
    config's data sets are asked for theirs.
    """
    init_default_scope(cfg.default_scope)
    described = meta.get('dataset_meta')
    if described is None and 'CLASSES' in meta:  # of the libraries' earlier versions
        described = dict(classes=meta['CLASSES'], palette=meta.get('PALETTE'))
    if described is None:
        described = _described_by_config(cfg)
    kept = {key: described.get(key) for key in ('classes', 'palette') if described.get(key)}
    pipeline = _test_pipeline(cfg)
    stand_in = dict(type=STAND_INS[cfg.default_scope], metainfo=kept, pipeline=pipeline)
    cfg.test_dataloader = ConfigDict(dataset=stand_in)
    # Backends write to a folder of a run, and there is none.
    cfg.visualizer = ConfigDict({**visualizer_settings(cfg), 'vis_backends': None})


def _described_by_config(cfg: Config) -> dict[str, Any]:
    """Return classes and palette of the first data set that names them; empty if none does."""
    for _, dataset in _data_sets(cfg, ('test', 'val', 'train')):
        try:
            described = DATASETS.build({**deepcopy(dataset), 'lazy_init': True}).metainfo
        except Exception:  # some look for their files even so
            kind = DATASETS.get(dataset['type'])
            described = getattr(kind, 'METAINFO', {}) | dict(dataset.get('metainfo') or {})
        if described.get('classes'):
            return described
    return {}


def _test_pipeline(cfg: Config) -> list[Any]:
    """Return the transforms that prepare an image for a test."""
    for transforms, _ in _data_sets(cfg, ('test', 'val')):
        if transforms:
            return transforms
    for name in ('test_pipeline', 'val_pipeline'):
        if cfg.get(name):
            return deepcopy(cfg[name])
    for transforms, _ in _data_sets(cfg, ('train',)):
        made = [one for transform in transforms for one in _without_chance(transform)]
        kinds = [one['type'] for one in made]
        if not kinds or not type_name(made[-1]).startswith('Pack'):
            continue
        print_log(
            'the config has no test_dataloader, val_dataloader or test_pipeline: images are '
            'prepared by the training pipeline without random steps: '
            f'{", ".join(map(str, kinds))}. '
            'To prepare them otherwise, add test_pipeline=[…] to the config',
            logger='current',
            level=logging.WARNING,
        )
        return made
    raise NoPipelineError(
        'the config does not say how to prepare images: it has no test_dataloader, no '
        'val_dataloader, no test_pipeline, and no train_dataloader whose pipeline ends with '
        'packing; add test_pipeline=[dict(type="LoadImageFromFile"), …]'
    )


def _data_sets(cfg: Config, splits: tuple[str, ...]) -> Iterator[tuple[list[Any], dict[str, Any]]]:
    """Iterate over transforms, those of wrappers included, and innermost data sets."""
    for split in splits:
        loader = cfg.get(f'{split}_dataloader')
        if not isinstance(loader, dict) or not isinstance(loader.get('dataset'), dict):
            continue
        dataset = loader['dataset']
        transforms: list[Any] = []
        while True:
            transforms = [*(dataset.get('pipeline') or ()), *transforms]
            inner = dataset.get('dataset') or next(iter(dataset.get('datasets') or ()), None)
            if inner is None:
                break
            dataset = inner
        yield deepcopy(transforms), dataset


def _without_chance(transform: dict[str, Any]) -> list[dict[str, Any]]:
    """Return what does in a test what a transform does in training; empty if nothing does."""
    kind = type_name(transform)
    if kind in PREPARING or kind.startswith('Pack'):
        return [transform]
    if kind == 'RandomResize':
        scale = transform['scale']
        largest = max(scale) if isinstance(scale[0], (list, tuple)) else scale
        return [dict(type='Resize', scale=largest, keep_ratio=True)]
    if kind == 'RandomChoiceResize':
        return [dict(type='Resize', scale=max(transform['scales']), keep_ratio=True)]
    if kind == 'RandomResizedCrop':
        side = transform['scale']
        side = side if isinstance(side, int) else min(side)
        return [
            dict(type='ResizeEdge', scale=round(side / EVALUATED_SHARE), edge='short'),
            dict(type='CenterCrop', crop_size=side),
        ]
    return []
