"""Checks of a config and of the model built from it, before a training begins.

Mistakes that would be ignored, or found only after minutes: names of settings, ``type`` names,
paths, patterns of ``custom_keys``, prefixes of checkpoints, numbers of classes. A setting that is
meant as it is goes into ``unchecked_settings`` of the config, a list of settings that are left
alone with all below.
"""

from .built_model import check_classes, check_model
from .check import ConfigError, check_config, refuse
from .mistakes import Mistake

__all__ = [
    'ConfigError',
    'Mistake',
    'check_classes',
    'check_config',
    'check_model',
    'refuse',
]
