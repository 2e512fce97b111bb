"""Folders and lists of images of any suffix, for mmpretrain.

Its own ``CustomDataset`` passes over the files of formats that are not in a short list, WebP among
them. :mod:`mmrsir.replacements` puts this one in its place.
"""

from typing import Any

import mmpretrain.datasets
from mmengine.fileio import get_file_backend, list_from_file

from ...utils.errors import UserError
from .image_files import image_suffixes, split_line


class ImageListError(UserError, ValueError):
    """A line of a list of images names no image and class."""


class CustomDataset(mmpretrain.datasets.CustomDataset):
    """Folders of images as mmpretrain has them, of every format that can be read.

    Args:
        *args: Arguments of mmpretrain's ``CustomDataset``.
        extensions: Suffixes of what is taken; None for those of all formats.
        **kwargs: Arguments of mmpretrain's ``CustomDataset``.
    """

    def __init__(self, *args: Any, extensions: tuple[str, ...] | None = None, **kwargs: Any):
        super().__init__(*args, extensions=extensions or image_suffixes(), **kwargs)

    def load_data_list(self) -> list[dict[str, Any]]:
        """List the images; in a list with labels, each line is a path and the number of a class."""
        if not self.ann_file:
            listed: list[dict[str, Any]] = super().load_data_list()
            return listed
        backend = get_file_backend(self.img_prefix, enable_singleton=True)
        samples = []
        for number, line in enumerate(list_from_file(self.ann_file), start=1):
            path, label = split_line(line)
            if self.with_label and path:
                self._check_label(f'{self.ann_file}, line {number}', line, label)
                samples.append(
                    dict(img_path=backend.join_path(self.img_prefix, path), gt_label=label)
                )
            elif path:
                path = line.strip().lstrip('\ufeff')  # what looks like a label is a part of it
                samples.append(dict(img_path=backend.join_path(self.img_prefix, path)))
        return samples

    def _check_label(self, place: str, line: str, label: int | None) -> None:
        if label is None:
            raise ImageListError(
                f'{place}: {line.strip()!r} must be a path, a blank and the number of a class, '
                'such as "cats/1.jpg 0"'
            )
        number = len(self.CLASSES) if self.CLASSES else label + 1
        if not 0 <= label < number:
            raise ImageListError(
                f'{place}: no class has the label {label}; the {number} classes have labels from '
                f'0 to {number - 1}'
            )
