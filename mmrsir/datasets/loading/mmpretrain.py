"""Folders of images of any suffix, for mmpretrain.

Its own ``CustomDataset`` passes over the files of formats that are not in a short list, WebP among
them. :mod:`mmrsir.replacements` puts this one in its place.
"""

from typing import Any

import mmpretrain.datasets

from .image_files import image_suffixes


class CustomDataset(mmpretrain.datasets.CustomDataset):
    """Folders of images as mmpretrain has them, of every format that can be read.

    Args:
        *args: Arguments of mmpretrain's ``CustomDataset``.
        extensions: Suffixes of what is taken; None for those of all formats.
        **kwargs: Arguments of mmpretrain's ``CustomDataset``.
    """

    def __init__(self, *args: Any, extensions: tuple[str, ...] | None = None, **kwargs: Any):
        super().__init__(*args, extensions=extensions or image_suffixes(), **kwargs)
