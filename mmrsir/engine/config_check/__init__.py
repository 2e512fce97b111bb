"""Checks of a config and of the model built from it, before a training begins.

Mistakes that would be ignored, or found only after minutes: names of settings, ``type`` names,
paths, patterns of ``custom_keys``, prefixes of checkpoints, numbers of classes. A setting that is
meant as it is goes into ``unchecked_settings`` of the config, a list of settings that are left
alone with all below.
"""

from collections.abc import Collection

from mmengine.config import Config

from ...utils.missing import MissingPathError
from .built_model import check_classes, check_model
from .names import check_names, check_types
from .paths import check_backends, check_paths
from .refusal import ConfigError, Mistake, refuse

__all__ = [
    'ConfigError',
    'Mistake',
    'check_backends',
    'check_classes',
    'check_model',
    'check_settings',
    'refuse',
]


def check_settings(cfg: Config, splits: Collection[str]) -> None:
    """Check the settings of a config, and that the files and folders exist that a run reads."""
    refuse(cfg, 'has wrong settings', [*check_names(cfg), *check_types(cfg)])
    refuse(
        cfg, 'names files or folders that do not exist', check_paths(cfg, splits), MissingPathError
    )
