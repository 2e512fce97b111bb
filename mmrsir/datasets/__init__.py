"""Data sets: shapes that we generate, handwritten digits, and converters of distributed ones."""

from .loading.images import CorruptImageError, LoadImageFromFile

__all__ = ['CorruptImageError', 'LoadImageFromFile']
