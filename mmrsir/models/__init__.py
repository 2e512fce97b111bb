"""The RSIR Transformer backbone and what stands beside it; importing this registers all of it."""

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
