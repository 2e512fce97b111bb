"""Folders of images of any suffix, and label maps of any size, for mmseg.

Its own ``BaseSegDataset`` passes over files whose suffix is not exactly ``img_suffix``, ``.JPG``
among them, and its ``LoadAnnotations`` refuses label maps of more than 178 megapixels.
:mod:`mmrsir.replacements` puts these two in their place.
"""

import os
from pathlib import Path
from typing import Any

import mmcv
import mmseg.datasets
import numpy as np
from mmengine import fileio
from mmseg.datasets import transforms
from PIL import Image

from ...utils.errors import InvalidValueError, UserError
from ..check.settings import zero_label_problem
from ..class_names import new_labels
from .image_files import image_suffixes, walk


class LabelMapError(UserError, ValueError):
    """A label map has not one class for each pixel of its image."""


class ZeroLabelError(UserError, ValueError):
    """A transform and its data set say different things about the label 0."""


class BaseSegDataset(mmseg.datasets.BaseSegDataset):
    """Images with label maps, as mmseg has them, whatever the suffix of an image.

    ``img_suffix='.jpg'`` names what is taken where several images have the same name. A suffix that
    is more than that of a format, such as ``'_leftImg8bit.png'``, is taken to the letter.
    """

    def _update_palette(self) -> Any:
        try:
            return super()._update_palette()
        except ValueError as error:
            colors, classes = (self._metainfo.get(key) or () for key in ('palette', 'classes'))
            raise InvalidValueError(
                f'metainfo.palette has {len(colors)} colors for {len(classes)} classes: give each '
                'class a color, or no palette: metainfo=dict(_delete_=True, classes=…)'
            ) from error

    def load_data_list(self) -> list[dict[str, Any]]:
        """List the images: those of ``img_suffix``, and others that have a label map."""
        folder = self.data_prefix.get('img_path')
        listed: list[dict[str, Any]]
        if self.ann_file or not os.path.isdir(folder or ''):
            listed = super().load_data_list()
            # A blank line names no image.
            listed = [one for one in listed if os.path.basename(one['img_path']) != self.img_suffix]
            known = self.img_suffix.lower() in image_suffixes() and os.path.isdir(folder or '')
            return [self._with_any_suffix(sample) for sample in listed] if known else listed
        names = list(walk(folder))
        listed = [
            self._sample(
                os.path.join(folder, name), self._label_map(name.removesuffix(self.img_suffix))
            )
            for name in names
            if name.endswith(self.img_suffix)
        ]
        maps = {sample.get('seg_map_path') for sample in listed}
        taken = {os.path.splitext(sample['img_path'])[0] for sample in listed}
        for name in names if self.img_suffix.lower() in image_suffixes() else ():
            stem, suffix = os.path.splitext(name)
            image, label_map = os.path.join(folder, name), self._label_map(stem)
            if (
                suffix.lower() not in image_suffixes()
                or os.path.splitext(image)[0] in taken
                or image in maps
                or (label_map is not None and not os.path.isfile(label_map))
                or label_map == image
            ):
                continue
            taken.add(os.path.splitext(image)[0])
            listed.append(self._sample(image, label_map))
        return sorted(listed, key=lambda sample: sample['img_path'])

    def _label_map(self, stem: str) -> str | None:
        folder = self.data_prefix.get('seg_map_path')
        return None if folder is None else os.path.join(folder, stem + self.seg_map_suffix)

    def _sample(self, image: str, label_map: str | None) -> dict[str, Any]:
        known = {} if label_map is None else dict(seg_map_path=label_map)
        return dict(
            img_path=image,
            **known,
            label_map=self.label_map,
            reduce_zero_label=self.reduce_zero_label,
            seg_fields=[],
        )

    def _with_any_suffix(self, sample: dict[str, Any]) -> dict[str, Any]:
        """Return a sample of a list, whose image may have another suffix, or be named with it."""
        path = sample['img_path']
        if os.path.exists(path):
            return sample
        stem = path[: -len(self.img_suffix)]
        if Path(stem).suffix.lower() in image_suffixes() and os.path.isfile(stem):
            below = os.path.relpath(os.path.splitext(stem)[0], self.data_prefix['img_path'])
            return self._sample(stem, self._label_map(below))
        for suffix in image_suffixes():
            for written in (suffix, suffix.upper()):
                if os.path.isfile(stem + written):
                    return {**sample, 'img_path': stem + written}
        return sample


class LoadAnnotations(transforms.LoadAnnotations):
    """Loads a label map as mmseg does, also one that is too large for Pillow's taste.

    Raises:
        LabelMapError: It has several channels, another size than its image, or a value over 255,
            which mmseg takes modulo 256; 65535 is ignored, as 255 is.
        ZeroLabelError: It and the data set say different things about the label 0.
    """

    def _load_seg_map(self, results: dict[str, Any]) -> None:
        problem = zero_label_problem(self.reduce_zero_label, results['reduce_zero_label'])
        if problem:
            raise ZeroLabelError(problem)
        path = results['seg_map_path']
        data = fileio.get(path, backend_args=self.backend_args)
        limit, Image.MAX_IMAGE_PIXELS = Image.MAX_IMAGE_PIXELS, None
        try:
            values = mmcv.imfrombytes(data, flag='unchanged', backend=self.imdecode_backend)
        finally:
            Image.MAX_IMAGE_PIXELS = limit
        if values.ndim == 3 and values.shape[2] == 1:
            values = values[..., 0]
        _check_map(path, values, results.get('ori_shape'))
        labels = values.astype(np.uint8)
        if results['reduce_zero_label'] or results.get('label_map'):
            labels = new_labels(results['reduce_zero_label'], results.get('label_map'))[labels]
        results['gt_seg_map'] = labels
        results['seg_fields'].append('gt_seg_map')


def _check_map(path: str, values: np.ndarray, image_size: tuple[int, int] | None) -> None:
    if values.ndim != 2:
        raise LabelMapError(
            f'{path} has {values.shape[-1]} channels: a label map has one, in which each pixel has '
            'the number of its class. Write it so; where all channels are equal, take one'
        )
    if image_size is not None and values.shape != tuple(image_size[:2]):
        sizes = (f'{width} x {height}' for height, width in (values.shape, image_size[:2]))
        what_to_do = 'make both the same'
        if values.shape == tuple(image_size[1::-1]):
            what_to_do += (
                '. If the image is stored turned, and its map fits the stored pixels, set '
            )
            what_to_do += "color_type='color_ignore_orientation' of each LoadImageFromFile"
        raise LabelMapError(f'{path} is {" pixels, its image ".join(sizes)}: {what_to_do}')
    if values.dtype.itemsize > 1:
        wrong = values[(values > 255) & (values != 65535)]
        if len(wrong):
            raise LabelMapError(
                f'{path} has the value {wrong[0]}: labels go to 254, and 255 is ignored'
            )
