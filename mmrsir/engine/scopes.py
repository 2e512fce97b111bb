"""What differs between mmdet, mmseg and mmpretrain when a config is trained or tested.

The library is the one that the config's ``default_scope`` names.
"""

import os
from collections.abc import Sequence
from copy import deepcopy
from typing import Any

from mmengine.config import Config, ConfigDict
from mmengine.runner import Runner

from ..utils.arguments import check_choice, check_int
from ..utils.errors import InvalidValueError
from ..utils.settings import below_wrappers
from . import noise

SCOPES = ('mmdet', 'mmseg', 'mmpretrain')
DATALOADERS = ('train_dataloader', 'val_dataloader', 'test_dataloader')
OF_WORKERS = ('multiprocessing_context', 'persistent_workers', 'prefetch_factor', 'timeout')


def check_scope(cfg: Config) -> None:
    """Check that the config is one of the three libraries'."""
    check_choice('default_scope', cfg.get('default_scope'), SCOPES)


def set_dataloader_defaults(cfg: Config) -> None:
    """Fill in what mmpretrain's own tools add to the data loaders of its configs.

    With ``num_workers=0`` torch refuses the settings of workers: they are dropped, in every scope.
    """
    for name in DATALOADERS:
        loader = cfg.get(name)
        if loader is None:
            continue
        has_workers = bool(loader.get('num_workers', 0))
        for setting in () if has_workers else OF_WORKERS:
            loader.pop(setting, None)
        if cfg.default_scope == 'mmpretrain':
            defaults = dict(pin_memory=True, collate_fn=dict(type='default_collate'))
            if has_workers:
                defaults['persistent_workers'] = True
            cfg[name] = ConfigDict(defaults, **loader)


def complete_test(cfg: Config) -> None:
    """Test on the images of validation where a config has no test of its own."""
    parts = ('dataloader', 'evaluator')
    missing = [f'test_{part}' for part in parts if cfg.get(f'test_{part}') is None]
    if missing:
        if any(cfg.get(f'val_{part}') is None for part in parts):
            raise InvalidValueError(
                f'{cfg.filename or "the config"} has no {" and no ".join(missing)}, and no '
                'validation to use instead. A test needs annotated images and a metric; '
                'demo/image_demo.py predicts without them'
            )
        print(f'The config has no {" and no ".join(missing)}: the validation set is tested.')
        for part in parts:
            cfg[f'test_{part}'] = deepcopy(cfg[f'val_{part}'])
    if cfg.get('test_cfg') is None:
        cfg.test_cfg = ConfigDict(type='CheckedTestLoop')


def enable_windows(cfg: Config, wait_time: float = 2.0) -> None:
    """Show the predictions of a test in a window, each for some seconds."""
    if 'visualization' not in cfg.default_hooks:
        raise InvalidValueError('--show needs a hook that draws: default_hooks.visualization')
    hook = cfg.default_hooks.visualization
    hook.update(show=True, wait_time=wait_time)
    if cfg.default_scope == 'mmpretrain':
        hook.update(enable=True, interval=1)
    else:
        hook.update(draw=True)


def enable_tta(cfg: Config) -> None:
    """Switch to test-time augmentation.

    The config's ``tta_model`` and ``tta_pipeline`` are used; where it has none, the
    library's usual: a horizontal flip for mmdet and mmpretrain.
    """
    hook = cfg.get('default_hooks', {}).get('visualization', {})
    if cfg.default_scope == 'mmpretrain' and hook.get('enable'):
        raise InvalidValueError('--tta and --show do not go together in mmpretrain: use --show-dir')
    if cfg.default_scope == 'mmseg':
        missing = [key for key in ('tta_model', 'tta_pipeline') if key not in cfg]
        if missing:
            raise InvalidValueError(f'--tta needs {" and ".join(missing)} in a config of mmseg')
    elif cfg.default_scope == 'mmdet':
        cfg.setdefault(
            'tta_model',
            dict(
                type='DetTTAModel',
                tta_cfg=dict(nms=dict(type='nms', iou_threshold=0.5), max_per_img=100),
            ),
        )
    else:
        cfg.setdefault('tta_model', dict(type='AverageClsScoreTTA'))
    if 'tta_pipeline' not in cfg:
        cfg.tta_pipeline = _flip_pipeline(cfg)
    cfg.model = ConfigDict(**cfg.tta_model, module=cfg.model)
    for dataset in below_wrappers(cfg.test_dataloader.dataset):
        dataset.pipeline = cfg.tta_pipeline


def enable_random_draws(cfg: Config, num_draws: int) -> None:
    """Average a test over draws of random windows."""
    with noise.imports_unsaid():
        from .. import evaluation  # noqa: F401  registers the model

    check_int('num_draws', num_draws, minimum=1)
    cfg.model.backbone.eval_sampling = 'random'
    cfg.model = ConfigDict(type='RandomDraws', module=cfg.model, num_draws=num_draws)


def save_predictions(cfg: Config, runner: Runner, out: str) -> None:
    """Keep the predictions of a test, in a pickle file or, for mmseg, a folder of label maps."""
    if cfg.default_scope == 'mmseg':
        for metric in runner.test_evaluator.metrics:
            metric.output_dir = out
        os.makedirs(out, exist_ok=True)
        return
    if cfg.default_scope == 'mmdet':
        from mmdet.evaluation import DumpDetResults as Dump
    else:
        from mmengine.evaluator import DumpResults as Dump
    if not out.endswith(('.pkl', '.pickle')):
        raise InvalidValueError(f'--out={out} must end in .pkl or .pickle for {cfg.default_scope}')
    runner.test_evaluator.metrics.append(Dump(out_file_path=out))


def innermost_dataset(cfg: Config) -> ConfigDict:
    """Return the test data set of a config below its wrappers, of several the first."""
    return next(below_wrappers(cfg.test_dataloader.dataset))


def class_names(dataset: Any) -> Sequence[str] | None:
    """Return the names of a data set's classes; None where it names none."""
    metainfo = getattr(dataset, 'metainfo', {})
    if isinstance(metainfo, list):  # mmdet's of several data sets that are not quite alike
        metainfo = metainfo[0]
    return metainfo.get('classes')


def _flip_pipeline(cfg: Config) -> list[dict]:
    """Return the test pipeline with each image plain and flipped."""
    pipeline = deepcopy(innermost_dataset(cfg).pipeline)
    pack = pipeline.pop()
    if 'meta_keys' in pack:
        pack['meta_keys'] = (*pack['meta_keys'], 'flip', 'flip_direction')
    flips = [dict(type='RandomFlip', prob=1.0), dict(type='RandomFlip', prob=0.0)]
    return [*pipeline, dict(type='TestTimeAug', transforms=[flips, [pack]])]
