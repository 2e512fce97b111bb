"""Refuses broken images in mmpretrain too, whose registry keeps a ``LoadImageFromFile`` of its own.

Importing this module does it. It needs mmpretrain.
"""

import mmpretrain.datasets  # noqa: F401  # or what it registers would come on top
from mmpretrain.registry import TRANSFORMS

from .loading import LoadImageFromFile

TRANSFORMS.register_module(module=LoadImageFromFile, force=True)
