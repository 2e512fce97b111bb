"""Token mixers by name: one file a mechanism, one signature (:mod:`.base`)."""

from .axial import AxialAttention
from .base import Arrangement, Mixer, MixerSettings
from .criss_cross import CrissCrossAttention
from .cross_shaped import CrossShapedWindows
from .grid import GridAttention
from .ir import ImportantRegionWindows
from .rs import RandomSamplingWindows
from .shifted_window import ShiftedWindows
from .spatially_separable import SpatiallySeparableAttention

MIXERS: dict[str, type[Mixer]] = {
    'rs': RandomSamplingWindows,
    'ir': ImportantRegionWindows,
    'shifted_window': ShiftedWindows,
    'spatially_separable': SpatiallySeparableAttention,
    'axial': AxialAttention,
    'criss_cross': CrissCrossAttention,
    'cross_shaped': CrossShapedWindows,
    'grid': GridAttention,
}

__all__ = [
    'MIXERS',
    'Arrangement',
    'AxialAttention',
    'CrissCrossAttention',
    'CrossShapedWindows',
    'GridAttention',
    'ImportantRegionWindows',
    'Mixer',
    'MixerSettings',
    'RandomSamplingWindows',
    'ShiftedWindows',
    'SpatiallySeparableAttention',
]
