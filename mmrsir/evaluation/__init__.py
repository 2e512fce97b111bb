"""Testing; importing this package registers it. It needs mmdet."""

from .mask_tta import MaskTTAModel

__all__ = ['MaskTTAModel']
