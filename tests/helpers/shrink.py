"""Make any config a matter of seconds, by rules that know no config by name."""

from functools import partial
from typing import Any
from unittest import mock

import torch
from mmengine.config import Config
from mmengine.registry import MODELS, init_default_scope
from torch import nn

from mmrsir.models import ARCHS

BATCH_SIZE = 2
ITERATIONS = 2
DEPTH_KEYS = ('depths', 'num_layers')
SMALLEST_RESNET = 50
COUNT_KEYS = ('max_per_img', 'nms_pre', 'num')  # proposals and samples
PIXEL_KEYS = ('scale', 'scales', 'crop_size', 'size')
SMALLEST_IMAGE = 100


def shrink(cfg: Config, data: str, work_dir: str) -> Config:
    """Return a config of the same parts with few blocks, small images and two iterations.

    Args:
        cfg: The config; not changed.
        data: Folder that stands in for ``data``.
        work_dir: Folder of the run.
    """
    init_default_scope(cfg.default_scope)
    # A run prints its config often, and formatting takes longer than all else.
    small = Config(_shrink_values(cfg.to_dict(), data), format_python_code=False)
    small.work_dir = small.experiment_name = work_dir
    small.visualizer.name = work_dir
    small.randomness.seed = 0
    small.default_hooks.logger.interval = 1
    small.default_hooks.checkpoint.update(interval=10**6, save_last=False)
    for part in ('train', 'val', 'test'):
        loader = small[f'{part}_dataloader']
        loader.update(batch_size=BATCH_SIZE, num_workers=0, persistent_workers=False)
        dataset = loader.dataset
        while 'dataset' in dataset:
            dataset = dataset.dataset
        # The first and the last image of a test have different classes.
        dataset.indices = BATCH_SIZE * ITERATIONS if part == 'train' else [0, -1]
    if 'max_iters' in small.train_cfg:
        small.train_cfg.update(max_iters=ITERATIONS, val_interval=ITERATIONS)
    else:
        for scheduler in small.param_scheduler:  # each ends with the whole run if it does not say
            scheduler.setdefault('end', cfg.train_cfg.max_epochs)
        small.train_cfg.update(max_epochs=1, val_interval=1)
    return small


def build_shapes(cfg: Config) -> nn.Module:
    """Build the model of a config on the meta device, which takes no memory."""
    init_default_scope(cfg.default_scope)
    # Libraries read the rates of stochastic depth out of a tensor.
    linspace = mock.patch.object(torch, 'linspace', partial(torch.linspace, device='cpu'))
    with torch.device('meta'), linspace:
        return MODELS.build(cfg.model)


def _shrink_values(value: Any, data: str, key: str = '') -> Any:
    if isinstance(value, dict):
        if key == 'init_cfg' and '://' in str(value.get('checkpoint')):
            return None  # nothing is downloaded
        value = {**value, **_small_settings(value)}
        return {name: _shrink_values(one, data, name) for name, one in value.items()}
    if isinstance(value, (list, tuple)):
        return type(value)(_shrink_values(one, data, key) for one in value)
    if isinstance(value, str) and value.startswith('data/'):
        return data + value.removeprefix('data')
    if key == 'score_thr':  # all scores are low after two iterations
        return 0.0
    if key in DEPTH_KEYS:
        return min(value, 2)
    if key == 'depth':
        return min(value, SMALLEST_RESNET)
    if key in COUNT_KEYS:
        return min(value, 20)
    if key in PIXEL_KEYS and isinstance(value, int) and value > SMALLEST_IMAGE:
        return max(SMALLEST_IMAGE, value // 6)
    return value


def _small_settings(settings: dict[str, Any]) -> dict[str, Any]:
    """Return what makes a backbone small that names its blocks, or fit for small images."""
    small: dict[str, Any] = {}
    kind = settings.get('type')
    if isinstance(settings.get('arch'), str):
        with MODELS.switch_scope_and_registry(None) as registry:
            small['arch'] = getattr(registry.get(kind), 'arch_zoo', ARCHS)[settings['arch']]
    if str(kind).endswith('SwinTransformer'):
        small['pad_small_map'] = True  # the last map is smaller than a window
    if settings.get('model_name', '').startswith('maxvit'):
        small.update(depths=(1, 1, 1, 1), img_size=64)  # windows of 2 x 2
    return small
