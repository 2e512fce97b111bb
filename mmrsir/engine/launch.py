"""Command line and config of ``tools/train.py`` and ``tools/test.py``.

Everything that differs between mmdet, mmseg and mmpretrain is in :mod:`.scopes`.
"""

import argparse
import atexit
import gc
import os
from collections.abc import Collection
from contextlib import suppress
from importlib import import_module
from typing import Any

import torch
from mmengine.config import Config, DictAction
from mmengine.device import get_device
from mmengine.registry import RUNNERS
from mmengine.runner import FlexibleRunner, Runner

from ..utils.errors import InvalidValueError
from ..utils.missing import check_file
from ..utils.settings import type_name, walk_settings
from . import noise, scopes
from .config_check import check_backends, check_model, check_settings
from .config_files import find_config, read_file, run_name
from .hooks.class_guard import ClassGuardHook
from .hooks.resumed_settings import ResumedSettingsHook
from .loops.resuming import newest_checkpoint


class _Settings(DictAction):
    """Settings of the command line."""

    def __call__(
        self,
        parser: argparse.ArgumentParser,
        namespace: argparse.Namespace,
        values: Any,
        option_string: Any = None,
    ) -> None:
        try:
            super().__call__(parser, namespace, values, option_string)
        except (AssertionError, ValueError) as error:
            raise InvalidValueError(
                f'{option_string} {" ".join(values)}: write key=value, without blanks around "=", '
                'close each bracket, and write what belongs to no flag before it'
            ) from error


def add_config_arguments(parser: argparse.ArgumentParser) -> None:
    """Add what :func:`read_config` takes."""
    parser.add_argument(
        'config', help='config file of mmdet, mmseg or mmpretrain, or the name of one of ours'
    )
    parser.add_argument(
        '--cfg-options',
        nargs='+',
        action=_Settings,
        help='settings that replace those of the config, as key=value; '
        'lists as key="[a,b]" or key=a,b, nested ones as key="[(a,b),(c,d)]"',
    )


def argument_parser(description: str) -> argparse.ArgumentParser:
    """Return a parser with the flags that training and testing share."""
    parser = argparse.ArgumentParser(description=description)
    add_config_arguments(parser)
    parser.add_argument(
        '--work-dir', help='folder for logs and checkpoints (default: work_dirs/<config name>)'
    )
    parser.add_argument(
        '--launcher',
        choices=['none', 'pytorch', 'slurm', 'mpi'],
        default='none',
        help='what started the processes (default: none, a single process)',
    )
    # torch.distributed.launch passes one spelling or the other; torchrun none.
    parser.add_argument('--local_rank', '--local-rank', type=int, default=0)
    return parser


def load_config(args: argparse.Namespace) -> Config:
    """Load the config that the command line names and apply the shared flags."""
    os.environ.setdefault('LOCAL_RANK', str(args.local_rank))
    cfg = read_config(args.config, args.cfg_options)
    scopes.set_dataloader_defaults(cfg)

    cfg.launcher = args.launcher
    if args.work_dir is not None:
        cfg.work_dir = args.work_dir
    elif cfg.get('work_dir') is None:
        cfg.work_dir = os.path.join('work_dirs', run_name(args.config))
    return cfg


def read_config(path: str, cfg_options: dict[str, Any] | None) -> Config:
    """Read a config of one of the libraries: a file, or the name of one of ours."""
    noise.leave_out_warnings()
    with noise.imports_unsaid():
        cfg = read_file(find_config(path))
        with suppress(ImportError):  # what is missing is told where it is needed
            import_module(f'{cfg.get("default_scope")}.datasets')
    if cfg_options is not None:
        try:
            cfg.merge_from_dict(cfg_options)
        except (KeyError, TypeError) as error:
            raise InvalidValueError(
                f'--cfg-options do not fit the config: {error.args[0]}. Name an item of a list by '
                'its number, from 0, as in param_scheduler.0.end=9'
            ) from error
    scopes.check_scope(cfg)
    check_backends(cfg)
    return cfg


def build_runner(
    cfg: Config, splits: Collection[str] = ('train', 'val')
) -> Runner | FlexibleRunner:
    """Check the config, and build mmengine's runner or the one that ``runner_type`` names.

    Processes without a GPU talk through gloo and use BN in place of SyncBN. ``splits`` are those
    that the run uses, of ``'train'``, ``'val'`` and ``'test'``.
    """
    check_settings(cfg, splits)
    if 'train' in splits:
        _check_amp(cfg.get('optim_wrapper'))
    if cfg.launcher != 'none' and not torch.cuda.is_available():
        _distribute_on_cpu(cfg)
    runner = RUNNERS.build(cfg) if 'runner_type' in cfg else Runner.from_cfg(cfg)
    runner.logger.addFilter(noise.is_news)
    if not any(isinstance(hook, ClassGuardHook) for hook in runner.hooks):
        runner.register_hook(ClassGuardHook())
    if 'train' in splits and cfg.get('resume'):
        hook = ResumedSettingsHook(cfg.get('resume_schedule', 'checkpoint'))
        runner.register_hook(hook, priority='VERY_HIGH')  # before those that take weights over
    if 'train' in splits and isinstance(runner.model, torch.nn.Module):  # some build it later
        check_model(runner.model, cfg)
    return runner


def _check_amp(settings: Any) -> None:
    is_amp = isinstance(settings, dict) and type_name(settings) == 'AmpOptimWrapper'
    if is_amp and get_device() in ('cpu', 'mps'):
        raise InvalidValueError(
            'optim_wrapper.type=AmpOptimWrapper needs a GPU, and there is none: use '
            'CPUAmpOptimWrapper without dtype and loss_scale, or OptimWrapper and the flag --amp, '
            'which suits the machine'
        )


def enable_amp(cfg: Config, dtype: str = 'auto') -> None:
    """Train in ``'float16'`` (with loss scaling) or ``'bfloat16'``; ``'auto'`` suits the device."""
    settings = cfg.optim_wrapper
    kind = settings.get('type', 'OptimWrapper')
    if kind not in ('OptimWrapper', 'AmpOptimWrapper', 'CPUAmpOptimWrapper'):
        raise InvalidValueError(
            f'--amp needs optim_wrapper.type=OptimWrapper, the config has {kind}'
        )
    if torch.cuda.is_available():
        settings.type = 'AmpOptimWrapper'
        settings.dtype = 'float16' if dtype == 'auto' else dtype
        settings.setdefault('loss_scale', 'dynamic')
    elif dtype == 'float16':
        raise InvalidValueError('--amp-dtype float16 needs a CUDA device; on a CPU use bfloat16')
    else:
        settings.type = 'CPUAmpOptimWrapper'
        for key in ('loss_scale', 'dtype'):
            settings.pop(key, None)


def enable_auto_scale_lr(cfg: Config) -> None:
    """Scale the learning rate by the batch size over ``auto_scale_lr.base_batch_size``."""
    if 'base_batch_size' not in cfg.get('auto_scale_lr', {}):
        raise InvalidValueError(
            '--auto-scale-lr needs auto_scale_lr.base_batch_size in the config: the batch size '
            'that its learning rate is for'
        )
    cfg.auto_scale_lr.enable = True


def enable_resume(cfg: Config, checkpoint: str) -> None:
    """Resume from a checkpoint, or ``'auto'`` from the newest intact one in the work folder."""
    if checkpoint == 'auto':
        newest = newest_checkpoint(cfg.work_dir)
        if newest is None:
            cfg.resume = False
            print(f'{cfg.work_dir} has no checkpoint to resume: the training begins')
            return
        checkpoint = str(newest)
    check_file('checkpoint', checkpoint)
    cfg.resume = True
    cfg.load_from = checkpoint


def _distribute_on_cpu(cfg: Config) -> None:
    """Join processes without a GPU, which mmengine's launchers do not support."""
    if cfg.launcher != 'pytorch':
        raise InvalidValueError(
            f'--launcher {cfg.launcher} needs CUDA devices, but there are none; '
            'on CPUs start the processes with torchrun and --launcher pytorch'
        )
    if not torch.distributed.is_initialized():
        torch.distributed.init_process_group('gloo')
        atexit.register(_leave_process_group)
    _replace_sync_bn(cfg.model)
    if cfg.get('model_wrapper_cfg') is None:  # mmengine's default names a GPU for the model
        cfg.model_wrapper_cfg = dict(
            type='MMDistributedDataParallel',
            device_ids=None,
            broadcast_buffers=False,
            find_unused_parameters=cfg.get('find_unused_parameters', False),
        )


def _leave_process_group() -> None:
    """End the threads of gloo, which abort the process where they outlive the interpreter."""
    gc.collect()  # the model's wrapper holds the group, and the runner holds the model
    torch.distributed.destroy_process_group()


def _replace_sync_bn(model: dict[str, Any]) -> None:
    """Turn SyncBN, which exists on GPUs only, into BN."""
    for settings in walk_settings(model):
        if settings.get('type') == 'SyncBN':
            settings['type'] = 'BN'
