"""Names of settings that nothing reads, and names of classes and functions: each ``type``."""

from collections.abc import Collection, Iterator
from inspect import getmro, isclass, signature
from typing import Any

from mmengine.config import Config
from mmengine.registry import (
    HOOKS,
    LOOPS,
    MODELS,
    OPTIM_WRAPPERS,
    OPTIMIZERS,
    PARAM_SCHEDULERS,
    VISUALIZERS,
)
from torch.utils.data import DataLoader

from ...utils.suggestions import did_you_mean
from .refusal import Mistake
from .sections import READ, Path, find, names, of_place, sections

NEAR = 0.85  # a share of equal letters, as difflib counts them
LOADER = (*signature(DataLoader).parameters, 'num_batch_per_epoch')
# What mmengine reads of sections that are handed to no class.
READ_OF = {
    '': READ,
    'auto_scale_lr': ('base_batch_size', 'enable'),
    'env_cfg': ('cudnn_benchmark', 'dist_cfg', 'mp_cfg', 'resource_limit'),
    'env_cfg.mp_cfg': ('mp_start_method', 'opencv_num_threads'),
    'optim_wrapper.paramwise_cfg': (
        'bias_decay_mult',
        'bias_lr_mult',
        'bypass_duplicate',
        'custom_keys',
        'dcn_offset_lr_mult',
        'decay_rate',
        'decay_type',
        'dwconv_decay_mult',
        'flat_decay_mult',
        'layer_decay_rate',
        'norm_decay_mult',
        'num_layers',
    ),
    'optim_wrapper.paramwise_cfg.custom_keys.*': ('decay_mult', 'lr_mult'),
    'test_dataloader': LOADER,
    'train_dataloader': LOADER,
    'val_dataloader': LOADER,
}
# What mmengine reads of sections before it hands the rest to their class.
BESIDE_ARGUMENTS = (
    '_scope_',
    'by_epoch',
    'constructor',
    'convert_to_iter_based',
    'optimizer',
    'paramwise_cfg',
    'priority',
    'type',
)
DEFAULT_TYPES = {
    'optim_wrapper': 'OptimWrapper',
    'test_cfg': 'TestLoop',
    'train_cfg': 'EpochBasedTrainLoop',
    'val_cfg': 'ValLoop',
}
# Registries of what mmengine's runner builds itself.
KINDS = {
    'custom_hooks.*': HOOKS,
    'default_hooks.*': HOOKS,
    'model': MODELS,
    'optim_wrapper': OPTIM_WRAPPERS,
    'optim_wrapper.optimizer': OPTIMIZERS,
    'param_scheduler': PARAM_SCHEDULERS,
    'param_scheduler.*': PARAM_SCHEDULERS,
    'test_cfg': LOOPS,
    'train_cfg': LOOPS,
    'val_cfg': LOOPS,
    'visualizer': VISUALIZERS,
}


def check_names(cfg: Config) -> Iterator[Mistake]:
    """Compare the names of settings with those that are read.

    A config may hold any variable, and a class may take any argument. So only a name that is
    nearly a known one counts as a mistake.
    """
    for path, section, scope in sections(cfg):
        known = of_place(READ_OF, path) or _arguments(path, section, scope)
        if path[-1:] == ('metainfo',):
            for name in ('CLASSES', 'PALETTE'):  # of OpenMMLab's first versions
                if name in section and name.lower() not in section:
                    yield Mistake('.'.join((*path, name)), f'is not read: write {name.lower()}')
        for name in section:
            if not isinstance(name, str):  # an argument may be a dict of numbers
                continue
            # Variables are named after settings: train_dataloader_2.
            if name in known or any(name.startswith(f'{one}_') for one in known):
                continue
            if hint := did_you_mean(name, known, cutoff=NEAR):
                yield Mistake('.'.join((*path, name)), f'is no setting{hint}')


def _arguments(path: Path, section: dict[str, Any], scope: str) -> Collection[str]:
    """Return what a section may hold that mmengine's runner builds; empty for others."""
    registry = of_place(KINDS, path)
    if registry is None:
        return ()
    kind = section.get('type', of_place(DEFAULT_TYPES, path))
    if isinstance(kind, str):
        kind = find(kind, scope, registry)
    known = set(BESIDE_ARGUMENTS)
    for one in getmro(kind) if isclass(kind) else ():  # some hand **kwargs on
        known.update(signature(vars(one).get('__init__', object.__init__)).parameters)
    return known


def check_types(cfg: Config) -> Iterator[Mistake]:
    """Yield each ``type`` that nothing, or something of another kind, is registered under."""
    for path, section, scope in sections(cfg):
        name = section.get('type')
        registry = of_place(KINDS, path)
        if registry is HOOKS and name is None:
            others = [key for key in cfg.get('default_hooks') or () if key != path[-1]]
            yield Mistake('.'.join(path), f'has no type{did_you_mean(path[-1], others)}')
        # Elsewhere it may be a word of the section's own, as in dict(type='nms').
        if not isinstance(name, str) or (registry is None and name.islower()):
            continue
        if find(name, scope, registry) is None:
            library, dot, plain = name.rpartition('.')
            near = did_you_mean(plain, names(library if dot else scope, registry))
            hint = near or '; custom_imports may lack the module that registers it'
            what = 'registered' if registry is None else f'a registered {registry.name}'
            yield Mistake('.'.join((*path, 'type')), f'{name!r} is not {what}{hint}')
