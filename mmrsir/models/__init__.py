"""The RSIR Transformer backbone; importing this package registers it in mmengine."""

from .pyramid import PyramidTransformer
from .rsir import ARCHS, RSIRTransformer

__all__ = ['ARCHS', 'PyramidTransformer', 'RSIRTransformer']
