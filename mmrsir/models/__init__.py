"""The RSIR Transformer and other backbones; importing this registers them."""

from .pooling import NormedAveragePooling
from .pyramid import PyramidTransformer
from .rsir import ARCHS, RSIRTransformer
from .timm_pyramid import TimmPyramid

__all__ = [
    'ARCHS',
    'NormedAveragePooling',
    'PyramidTransformer',
    'RSIRTransformer',
    'TimmPyramid',
]
