"""Token mixers by name: one file a mechanism, one signature (:mod:`.base`)."""

from .base import Arrangement, Mixer, MixerSettings
from .ir import ImportantRegionWindows
from .rs import RandomSamplingWindows

MIXERS: dict[str, type[Mixer]] = {
    'rs': RandomSamplingWindows,
    'ir': ImportantRegionWindows,
}

__all__ = [
    'MIXERS',
    'Arrangement',
    'ImportantRegionWindows',
    'Mixer',
    'MixerSettings',
    'RandomSamplingWindows',
]
