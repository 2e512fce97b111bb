"""Images as mmrsir loads them for mmpretrain, whose registry keeps classes of its own.

Importing this module registers two classes in place of mmpretrain's of the same name: its
``LoadImageFromFile`` takes broken images, and its ``CustomDataset`` passes over the files of
formats that are not in a short list, WebP among them. It needs mmpretrain.
"""

from typing import Any

import mmpretrain.datasets  # or what it registers would come on top
from mmpretrain.registry import DATASETS, TRANSFORMS

from .image_files import image_suffixes
from .images import LoadImageFromFile

TRANSFORMS.register_module(module=LoadImageFromFile, force=True)


@DATASETS.register_module(force=True)
class CustomDataset(mmpretrain.datasets.CustomDataset):
    """Folders of images as mmpretrain has them, of every format that can be read."""

    def __init__(self, *args: Any, extensions: tuple[str, ...] | None = None, **kwargs: Any):
        super().__init__(*args, extensions=extensions or image_suffixes(), **kwargs)
