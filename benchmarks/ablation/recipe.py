"""A training as the config of a classifier describes it, with all of its images in memory.

Shape suffixes: N images, S side in pixels, K classes.
"""

from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from copy import deepcopy
from typing import Any

import numpy as np
import torch
from mmengine.config import Config, ConfigDict
from mmengine.model import ExponentialMovingAverage
from mmengine.optim import OptimWrapper, build_optim_wrapper
from mmengine.registry import HOOKS, MODELS, PARAM_SCHEDULERS, DefaultScope
from mmpretrain.registry import DATASETS
from torch import Tensor, nn

from mmrsir.engine import ProgressiveResizeHook
from mmrsir.engine.config_files import find_config, read_file
from mmrsir.models import ARCHS
from mmrsir.utils.errors import InvalidValueError
from mmrsir.utils.progress import show_progress

from .batch_transforms import BatchTransform, batch_transform
from .tasks import Pictures, Task
from .variants import CONFIG_VARIANTS

LOADING = (
    'LoadImageFromFile',
    'Resize',
    'ResizeEdge',
    'CenterCrop',
    'NumpyToPIL',
    'PILToNumpy',
    'PackInputs',
)


class Recipe:
    """What the config of a classifier says about its training.

    ``epochs`` stand in place of those of the config, whose schedules are stretched or shrunk.

    Raises:
        ValueError: It is no config of a classifier, or asks for something that is done image by
            image.
    """

    def __init__(self, config: str, epochs: int | None = None) -> None:
        self.path = find_config(config)
        self.name = self.path.stem
        self.cfg = read_file(self.path)
        if self.cfg.get('default_scope') != 'mmpretrain':
            raise InvalidValueError(
                f'--config={config} is no config of mmpretrain; only classifiers are compared'
            )
        loader = self.cfg.train_dataloader
        if not loader.get('drop_last'):
            raise InvalidValueError(
                f'{config} needs train_dataloader.drop_last=True: all steps are alike'
            )
        self.batch_size = loader.batch_size
        if epochs is not None:
            set_epochs(self.cfg, epochs)
        self.epochs = self.cfg.train_cfg.max_epochs
        # The random part of its training pipeline, for whole batches.
        self.transforms: list[BatchTransform] = [
            batch_transform(one) for one in loader.dataset.pipeline if one['type'] not in LOADING
        ]
        self.resizing: ProgressiveResizeHook | None = None
        self.ema: Mapping[str, Any] | None = None
        for hook in self.cfg.get('custom_hooks', []):
            if hook['type'] == 'ProgressiveResizeHook':
                self.resizing = HOOKS.build(hook)
            elif hook['type'] == 'EMAHook':
                self.ema = {key: value for key, value in hook.items() if key in ('momentum',)}
            else:
                raise InvalidValueError(
                    f'{config} has {hook["type"]}, which a comparison does not run'
                )

    def load(self) -> Task:
        splits = [
            _load(self.cfg[f'{split}_dataloader'].dataset, split) for split in ('train', 'val')
        ]
        return Task(self.name, self.cfg.model.head.num_classes, *splits)

    def dataset_meta(self) -> dict[str, Any]:
        """Return what a checkpoint keeps of the data set: the names of its classes."""
        settings = dict(deepcopy(self.cfg.val_dataloader.dataset), lazy_init=False)
        with DefaultScope.overwrite_default_scope('mmpretrain'):
            return dict(DATASETS.build(settings).metainfo)

    def build_model(self, variant: str, **changes: Any) -> Any:
        cfg = self._model_settings(variant, **changes)
        cfg.setdefault('data_preprocessor', self.cfg.get('data_preprocessor'))
        with DefaultScope.overwrite_default_scope('mmpretrain'):
            model = MODELS.build(cfg)
        model.init_weights()
        return model

    def config_text(self, variant: str) -> str:
        """Return the config of a variant, which its checkpoint keeps."""
        cfg = deepcopy(self.cfg)
        cfg.model = self._model_settings(variant)
        return cfg.pretty_text

    def _model_settings(self, variant: str, **changes: Any) -> ConfigDict:
        """Return the config's classifier with the backbone of a variant."""
        cfg = deepcopy(self.cfg.model)
        arch = cfg.backbone.get('arch', 'tiny')
        backbone = dict(cfg.backbone, type='PyramidTransformer')
        backbone['arch'] = ARCHS[arch] if isinstance(arch, str) else arch
        cfg.backbone = ConfigDict(backbone, **CONFIG_VARIANTS[variant], **changes)
        return cfg

    def build_optimizer(self, model: nn.Module, steps: int) -> tuple[OptimWrapper, list[Any]]:
        with DefaultScope.overwrite_default_scope('mmpretrain'):
            wrapper = build_optim_wrapper(model, deepcopy(self.cfg.optim_wrapper))
            schedulers = [
                PARAM_SCHEDULERS.build(
                    deepcopy(one), default_args=dict(optimizer=wrapper, epoch_length=steps)
                )
                for one in self.cfg.param_scheduler
            ]
        return wrapper, schedulers

    def build_ema(self, model: nn.Module) -> ExponentialMovingAverage | None:
        """Build the average of the weights that an ``EMAHook`` of the config would keep."""
        return None if self.ema is None else ExponentialMovingAverage(model, **self.ema)


def set_epochs(cfg: Config, epochs: int) -> None:
    """Change the epochs of a config, and with them what it does in which epoch."""
    ratio = epochs / cfg.train_cfg.max_epochs

    def moved(epoch: int) -> int:
        return max(1, round(epoch * ratio)) if epoch else 0

    for one in [*cfg.param_scheduler, *cfg.get('custom_hooks', [])]:
        if not one.get('by_epoch', True):
            continue
        for key in {'begin', 'end', 'T_max'} & set(one):
            one[key] = moved(one[key])
        if 'milestones' in one:
            one['milestones'] = [moved(epoch) for epoch in one['milestones']]
        turns = [one.get('begin', 0), *one.get('milestones', ()), one.get('end', epochs)]
        if turns != sorted(set(turns)):
            raise InvalidValueError(
                f'{epochs} epochs are too few for the {one["type"]} of {cfg.filename}'
            )
    cfg.train_cfg.max_epochs = epochs


def _load(dataset: Mapping[str, Any], split: str) -> Pictures:
    """Decode a data set with the part of its pipeline that is the same at each call."""
    settings = deepcopy(dict(dataset))
    settings['pipeline'] = [
        one
        for one in settings['pipeline']
        if one['type'] in LOADING and one['type'] != 'PackInputs'
    ]
    with DefaultScope.overwrite_default_scope('mmpretrain'):
        built = DATASETS.build(settings)

    def decode(index: int) -> np.ndarray:
        return built[index]['img']

    with ThreadPoolExecutor(2) as pool:
        decoded = pool.map(decode, range(len(built)))
        title = f'reading {len(built)} images ({split})'
        images = list(show_progress(decoded, title, len(built)))
    if len({image.shape for image in images}) > 1:
        raise InvalidValueError(
            f'the images of {settings.get("data_root", split)} differ in size; add a Resize to '
            'the pipeline'
        )
    answers = torch.tensor([built.get_data_info(i)['gt_label'] for i in range(len(built))])
    pixels_NSS3 = torch.from_numpy(np.stack(images))
    return Pictures(pixels_NSS3.permute(0, 3, 1, 2), answers)


class Scores(nn.Module):
    """A classifier of mmpretrain as a function of pixels.

    It computes in ``dtype`` what autocast says that it may; the scores are float32.
    """

    mean: Tensor
    std: Tensor
    model: Any

    def __init__(self, model: Any, dtype: torch.dtype = torch.float32) -> None:
        super().__init__()
        self.dtype = dtype
        self.model = model
        preprocessor = model.data_preprocessor
        self.to_rgb = preprocessor.to_rgb
        self.register_buffer('mean', preprocessor.mean)
        self.register_buffer('std', preprocessor.std)

    def forward(self, images: Tensor) -> Tensor:
        """Return the scores of the classes, (N, K), for pixels of 0 to 255, (N, 3, S, S)."""
        if self.to_rgb:
            images = images.flip(1)
        # Without the cache: a recorded graph must convert the weights anew each time.
        mixed = self.dtype != torch.float32
        with torch.autocast(images.device.type, self.dtype, enabled=mixed, cache_enabled=False):
            features = self.model.extract_feat((images - self.mean) / self.std)
            return self.model.head(features).float()
