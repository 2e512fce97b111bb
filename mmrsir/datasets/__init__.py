"""Data sets: shapes that we generate, handwritten digits, and converters of distributed ones.

Importing this package makes the configs' ``LoadImageFromFile`` refuse broken images.
"""

from .loading.images import CorruptImageError, LoadImageFromFile

__all__ = ['CorruptImageError', 'LoadImageFromFile']
