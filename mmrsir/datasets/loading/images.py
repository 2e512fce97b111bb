"""Loading of images that hands on none in part."""

import logging
import multiprocessing
from pathlib import Path
from typing import Any

import numpy as np
from mmcv import transforms
from mmengine import fileio
from mmengine.logging import print_log

from ...utils.arguments import check_choice, check_int
from ...utils.errors import UserError
from ...utils.missing import nearest
from .headers import Pixels
from .jpeg import BrokenImageError
from .reading import Reading, ValueRangeError, describe_values, is_nearly_black

_warned: list[str] = []  # the image of which a warning was given
_ALL_BROKEN = 'tools/misc/check_dataset.py lists all broken files'


class CorruptImageError(UserError, ValueError):
    """An image that is cut or damaged."""


class MissingImageError(UserError, FileNotFoundError):
    """An image file that does not exist."""


# mmrsir.replacements gives it the place of mmcv's: the libraries' inferencers look for its name.
class LoadImageFromFile(transforms.LoadImageFromFile):
    """Loads an image as mmcv does, but refuses one that is broken.

    That is one that cannot be decoded, or a JPEG of which data is missing. Data that is there but
    changed goes unnoticed in formats without checksums, JPEG among them. All that OpenCV or Pillow
    can decode is loaded, and turned as its EXIF orientation says, see :class:`.Reading`.

    Args:
        *args: Arguments of mmcv's ``LoadImageFromFile``.
        on_corrupt: ``'raise'``, or ``'skip'``: another image, drawn at random, takes its place.
            Only for training.
        max_skipped: How many images are skipped at most, by all loading workers together and over
            all epochs; in several processes of training, by those of each.
        value_range: The values that become 0 and 255, for images of more than 8 bits: ``(0, 4095)``
            for 12 bits in 16. None: of 16 bits the upper eight are taken, and images of signed,
            32-bit or float values are refused. ``to_float32=True`` keeps all bits.
        **kwargs: Arguments of mmcv's ``LoadImageFromFile``.

    Raises:
        TypeError: ``max_skipped`` is no integer, or ``value_range`` no pair of numbers.
        ValueError: ``on_corrupt`` is unknown, ``max_skipped`` negative, or ``value_range`` empty.
    """

    def __init__(
        self,
        *args: Any,
        on_corrupt: str = 'raise',
        max_skipped: int = 100,
        value_range: tuple[float, float] | None = None,
        **kwargs: Any,
    ) -> None:
        check_choice('on_corrupt', on_corrupt, ('raise', 'skip'))
        check_int('max_skipped', max_skipped, 0)
        super().__init__(*args, **kwargs)
        self.on_corrupt = on_corrupt
        self.max_skipped = max_skipped
        self.reading = Reading(self.color_type, self.imdecode_backend, value_range)
        self._skipped = _SharedCount() if on_corrupt == 'skip' else None

    def transform(self, results: dict[str, Any]) -> dict[str, Any] | None:
        """Load an image.

        Args:
            results: What is known of it; ``img_path`` is needed.

        Returns:
            The same with ``img``, (H, W, 3), ``img_shape`` and ``ori_shape``; None where another
            image is to take its place.

        Raises:
            CorruptImageError: It is broken, or one too many is; names it.
            MissingImageError: It does not exist; names the nearest file.
            ValueRangeError: It needs ``value_range``; names it and its values.
        """
        try:
            image = self._load(results['img_path'])
        except Exception as error:
            if self.ignore_empty:
                return None
            if self._skipped is None or not isinstance(error, CorruptImageError):
                raise
            self._skip(error, self._skipped.increase())
            return None
        results['img'] = image.astype(np.float32) if self.to_float32 else image
        results['img_shape'] = results['ori_shape'] = image.shape[:2]
        return results

    def __repr__(self) -> str:
        policy = f'on_corrupt={self.on_corrupt!r}, max_skipped={self.max_skipped}'
        return f'{super().__repr__().removesuffix(")")}, {policy})'

    def _load(self, path: str) -> Pixels:
        try:
            if self.file_client_args is None:
                data = fileio.get(path, backend_args=self.backend_args)
            else:
                client = fileio.FileClient.infer_client(self.file_client_args, path)
                data = client.get(path)
        except FileNotFoundError as error:
            raise MissingImageError(f'{path} does not exist{nearest(path)}') from error
        if data is None:  # LMDB's answer
            raise MissingImageError(f'{path} is no key of the database {self.backend_args}')
        try:
            pixels = self.reading.pixels(data)
            warn_of_range(path, pixels, self.reading)
            return self.reading.to_eight_bits(pixels, exact=self.to_float32)
        except BrokenImageError as error:
            raise CorruptImageError(
                f'{path} is broken: {error}. Replace it; {_ALL_BROKEN}'
            ) from error
        except ValueRangeError as error:
            raise ValueRangeError(f'{path}: {error}') from error

    def _skip(self, error: CorruptImageError, count: int) -> None:
        if count > self.max_skipped:
            raise CorruptImageError(
                f'more than max_skipped={self.max_skipped} images are broken; the last: {error}. '
                f'{_ALL_BROKEN}; replace them, or raise max_skipped'
            ) from error
        print_log(
            f'skipped image {count} of at most {self.max_skipped}: {error}',
            logger='current',
            level=logging.WARNING,
        )


def warn_of_range(path: str | Path, pixels: Pixels, reading: Reading) -> None:
    """Warn of the first image whose values are but a part of their range."""
    if reading.value_range is None and is_nearly_black(pixels) and not _warned:
        _warned.append(str(path))
        print_log(
            f'{path} is nearly black: {describe_values(pixels)}',
            logger='current',
            level=logging.WARNING,
        )


class _SharedCount:
    """A number that processes count up together, whether forked or spawned."""

    def __init__(self) -> None:
        # A lock of the default context, fork, could not be handed to a spawned process.
        self._value = multiprocessing.get_context('spawn').Value('q')

    def __deepcopy__(self, memo: dict[int, Any]) -> '_SharedCount':
        return self  # a copied data set goes on counting; the value cannot be copied

    def increase(self) -> int:
        with self._value.get_lock():
            self._value.value += 1
            return self._value.value
