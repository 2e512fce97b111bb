"""Names of classes and functions in a config: each ``type``."""

from collections.abc import Iterator

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

from ...utils.suggestions import did_you_mean
from .mistakes import Mistake
from .registered import find, names
from .sections import of_place, sections

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
            hint = near or '; what registers it may be missing in custom_imports'
            what = 'registered' if registry is None else f'a registered {registry.name}'
            yield Mistake('.'.join((*path, 'type')), f'{name!r} is not {what}{hint}')
