"""Checks of a config and of the model built from it, before any data is loaded.

Mistakes that would be ignored, or found only after minutes: names of settings, ``type`` names,
paths, patterns of ``custom_keys``, prefixes of checkpoints. A setting that is meant as it is goes
into ``unchecked_settings`` of the config, a list of settings that are left alone with all below.
"""

from .built_model import check_model
from .check import MissingPathError, check_config

__all__ = ['MissingPathError', 'check_config', 'check_model']
