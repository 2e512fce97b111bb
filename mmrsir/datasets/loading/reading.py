"""Decoding of images: one way for training, tests, the check, the demo and the page."""

from dataclasses import dataclass, replace
from functools import partial
from typing import Any

import cv2
import mmcv
import numpy as np
from mmcv.image.io import imread_flags

from ...utils.errors import InvalidTypeError, InvalidValueError, UserError
from ...utils.settings import transforms_of
from .headers import SIGNATURES, Pixels, open_image, orientation, turn, type_of_tiff
from .jpeg import BrokenImageError, capture_standard_error, decode_jpeg

# OpenCV turns JPEG and PNG unless it is told not to, TIFF always, and these never.
_NOT_TURNED = ('WEBP', 'AVIF')
_OPPOSITE = {6: 8, 8: 6}
_MAX_PIXELS = 2**30  # as of OpenCV


class ValueRangeError(UserError, ValueError):
    """An image of which nobody has said what is black and what is white."""


@dataclass(frozen=True)
class Reading:
    """How the content of a file becomes an image.

    Images of every format are turned as their EXIF orientation says.
    """

    color_type: str = 'color'  # flag of mmcv's imfrombytes; '…_ignore_orientation': not turned
    backend: str = 'cv2'  # of mmcv's imfrombytes; what OpenCV cannot decode, Pillow decodes
    value_range: tuple[float, float] | None = None  # of black and white, beyond 8 bits

    def __post_init__(self) -> None:
        if self.value_range is None:
            return
        given = self.value_range
        numbers = isinstance(given, (list, tuple)) and all(
            isinstance(one, (int, float)) and not isinstance(one, bool) for one in given
        )
        if not numbers or len(given) != 2:
            raise InvalidTypeError(
                f'value_range={given!r} must be two numbers, of black and of white: (0, 4095)'
            )
        if not (np.isfinite(given).all() and given[0] < given[1]):
            raise InvalidValueError(f'value_range={given!r} must be finite, the lower number first')
        object.__setattr__(self, 'value_range', (given[0], given[1]))

    @classmethod
    def of(cls, settings: Any) -> 'Reading | None':
        """Return how the first ``LoadImageFromFile`` in settings reads; None if there is none."""
        for one in transforms_of(settings, 'LoadImageFromFile'):
            color_type, backend = one.get('color_type', 'color'), one.get('imdecode_backend', 'cv2')
            return cls(color_type, backend, one.get('value_range'))
        return None

    @classmethod
    def of_config(cls, cfg: Any) -> 'Reading':
        """Return how a config reads color images when it tests; by default where it has no data."""
        loaders = (cfg.get(f'{split}_dataloader') for split in ('test', 'val', 'train'))
        found = next((one for one in map(cls.of, loaders) if one), cls())
        return replace(found, color_type=f'color{"" if found.turns else "_ignore_orientation"}')

    @property
    def turns(self) -> bool:
        """Whether images are turned as their EXIF orientation says."""
        return self.color_type in ('color', 'grayscale')

    def decode(self, data: bytes, exact: bool = False) -> Pixels:
        """Decode to (H, W, 3), BGR, or (H, W): uint8, or float32 if exact and of more bits."""
        return self.to_eight_bits(self.pixels(data), exact)

    def pixels(self, data: bytes) -> Pixels:
        """Decode to the values and the type that the file has."""
        if not data:
            raise BrokenImageError('the file is empty')
        form = next((name for name, start in SIGNATURES.items() if start.match(data)), '')
        try:
            if self.backend != 'cv2':
                return self._with_other_backend(data, form)
            return self._with_opencv(data, form)
        except BrokenImageError:
            raise
        except Exception as error:  # what a broken file makes a decoder raise is not bounded
            raise BrokenImageError(_in_one_line(error)) from error

    def to_eight_bits(self, pixels: Pixels, exact: bool = False) -> Pixels:
        if pixels.dtype == np.uint8 or (
            self.color_type == 'unchanged' and self.value_range is None
        ):
            return pixels
        if self.value_range is not None:
            low, high = self.value_range
            scaled = (pixels.astype(np.float64) - low) * (255.0 / (high - low))
            scaled = np.nan_to_num(np.clip(scaled, 0.0, 255.0)).astype(np.float32)
            return scaled if exact else scaled.round().astype(np.uint8)
        if pixels.dtype == np.uint16:
            return (pixels >> 8).astype(np.uint8)
        raise ValueRangeError(describe_values(pixels))

    def _with_opencv(self, data: bytes, form: str) -> Pixels:
        flag = imread_flags[self.color_type]
        if form == 'JPEG':
            return _whole(decode_jpeg(partial(_opencv, data, flag)), data)
        if form == 'PNG' and data[24:25] != b'\x10':  # its bits a sample
            return _whole(_opencv(data, flag), data)
        if form in _NOT_TURNED:
            pixels = _opencv(data, flag)
        else:
            any_depth = flag if flag < 0 else flag | cv2.IMREAD_ANYDEPTH
            pixels, said = capture_standard_error(partial(_opencv, data, any_depth))
            if pixels is None and form == 'TIFF':  # of one channel, 32 bits or more
                unchanged = partial(_opencv, data, cv2.IMREAD_UNCHANGED)
                pixels, said = capture_standard_error(unchanged)
            if pixels is None and form == 'PNG':
                raise BrokenImageError(
                    _in_one_line(said.decode(errors='replace')) or 'it is cut off'
                )
        if pixels is None:
            return self._with_pillow(data)
        if form in _NOT_TURNED and self.turns:
            pixels = turn(pixels, orientation(data))
        if form == 'TIFF' and not self.turns:
            stored = orientation(data)
            pixels = turn(pixels, _OPPOSITE.get(stored, stored))
        return self._with_channels(pixels)

    def _with_pillow(self, data: bytes) -> Pixels:
        image = open_image(data)
        if image is None:
            raise BrokenImageError(
                f'{len(data)} bytes that cannot be decoded, of no format that Pillow or OpenCV '
                f'knows{type_of_tiff(data)}; the first are {data[:16]!r}'
            )
        if image.width * image.height > _MAX_PIXELS:
            raise BrokenImageError(
                f'it has {image.width} x {image.height} pixels; at most 2^30 are read'
            )
        stored = 1 if image.format == 'TIFF' else orientation(data)  # it is turned when loaded
        image.load()
        if image.mode in ('I', 'F') or image.mode.startswith('I;16'):
            pixels = np.asarray(image)
        elif self.color_type.startswith('grayscale'):
            pixels = np.asarray(image.convert('L'))
        else:
            pixels = np.asarray(image.convert('RGB'))[..., ::-1]
        return self._with_channels(turn(pixels, stored) if self.turns else pixels)

    def _with_other_backend(self, data: bytes, form: str) -> Pixels:
        if self.backend == 'pillow' and self.color_type != 'unchanged':
            image = open_image(data)
            if image is not None and image.mode[:1] in 'IF':
                return self._with_pillow(data)
            flag = f'{self.color_type.partition("_")[0]}_ignore_orientation'
            turned = form == 'TIFF'
        else:
            flag, turned = self.color_type, self.backend == 'tifffile'
        decode = partial(mmcv.imfrombytes, data, flag=flag, backend=self.backend)
        pixels = _whole(decode_jpeg(decode) if form == 'JPEG' else decode(), data)
        return turn(pixels, orientation(data)) if self.turns and not turned else pixels

    def _with_channels(self, pixels: Pixels) -> Pixels:
        """Bring what was decoded without regard to color to the channels of ``color_type``."""
        if self.color_type == 'unchanged':
            return pixels
        if pixels.ndim == 3 and pixels.shape[2] not in (1, 3, 4):
            raise BrokenImageError(f'the image has {pixels.shape[2]} channels; allowed: 1, 3 or 4')
        if self.color_type.startswith('grayscale'):
            if pixels.ndim == 2:
                return pixels
            return (pixels[..., :3] @ np.array([0.114, 0.587, 0.299])).astype(pixels.dtype)
        if pixels.ndim == 2:
            pixels = pixels[..., None]
        return np.repeat(pixels, 3, axis=2) if pixels.shape[2] == 1 else pixels[..., :3]


def is_nearly_black(pixels: Pixels) -> bool:
    """Whether an image of 16 bits uses twelve of them at most, of which four are left of eight."""
    return pixels.dtype == np.uint16 and bool(pixels.max() < 1 << 12)


def describe_values(pixels: Pixels) -> str:
    """Return the type and the range of an image's values, and what to do, for a message."""
    finite = pixels[np.isfinite(pixels)]
    if not finite.size:
        return f'its pixels are {pixels.dtype}, and all are NaN or infinite'
    low, high = finite.min(), finite.max()
    strange = '' if finite.size == pixels.size else ', some NaN or infinite'
    return (
        f'its pixels are {pixels.dtype} from {low:g} to {high:g}{strange}: '
        f'{range_hint(float(low), float(high))}'
    )


def range_hint(low: float, high: float) -> str:
    """Return what to do about images that have values in a range."""
    usual = (1, 255, 1023, 4095, 16383, 65535)
    top = next((one for one in usual if high <= one), None) if low >= 0 else None
    given = f'({low:g}, {high:g})' if top is None else f'(0, {top})'
    return f'set the values of black and white, such as LoadImageFromFile(value_range={given})'


def _opencv(data: bytes, flag: int) -> Pixels | None:
    return cv2.imdecode(np.frombuffer(data, np.uint8), flag)


def _whole(pixels: Pixels | None, data: bytes) -> Pixels:
    if pixels is None:
        raise BrokenImageError(f'{len(data)} bytes that cannot be decoded')
    return pixels


def _in_one_line(error: object) -> str:
    text = ' '.join(str(error).split())
    if 'CV_IO_MAX_IMAGE' in text:
        return 'it has more pixels than OpenCV reads; raise OPENCV_IO_MAX_IMAGE_PIXELS'
    return text
