"""Strict decoding of images."""

import os
import re
import threading
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from io import BytesIO
from pathlib import Path
from typing import TypeVar

import numpy as np
from PIL import Image, ImageOps, UnidentifiedImageError
from rich.console import Console
from rich.progress import track

T = TypeVar('T')


@dataclass(frozen=True)
class _Broken:
    text: str


# What libjpeg says of data that it decodes nevertheless, to wrong pixels. Superfluous bytes between
# segments are no proof of that: many images on the web have some, and all of their pixels.
_DAMAGE = re.compile(
    rb'(Corrupt JPEG data(?!: (bad ICC|\d+ extraneous))|Premature end of JPEG'
    rb'|Inconsistent progression|Invalid SOS parameters).*'
)
_STANDARD_ERROR = threading.Lock()


def decode_jpeg(decode: Callable[[], T]) -> T:
    """Decode a JPEG, and refuse one of which data is missing.

    libjpeg fills up what is missing, and tells so on standard error only.

    Args:
        decode: Decodes it.

    Returns:
        What ``decode`` returns.

    Raises:
        ValueError: Data is missing; says what libjpeg said.
    """
    image, said = capture_standard_error(decode)
    damage = _DAMAGE.search(said)
    if damage:
        raise ValueError(damage[0].decode(errors='replace'))
    if said:
        os.write(2, said)  # it may be of another thread
    return image


def capture_standard_error(function: Callable[[], T]) -> tuple[T, bytes]:
    """Call a function and catch what is written to standard error meanwhile, by C libraries too.

    Args:
        function: The function.

    Returns:
        What it returns, and what was written, up to what a pipe holds.
    """
    reader, writer = os.pipe()  # a temporary file would cost a tenth of the decoding
    with open(reader, 'rb', buffering=0) as pipe, open(writer, 'wb', buffering=0):
        os.set_blocking(reader, False)
        os.set_blocking(writer, False)
        with _STANDARD_ERROR:
            saved = os.dup(2)
            os.dup2(writer, 2)
            try:
                result = function()
            finally:
                os.dup2(saved, 2)
                os.close(saved)
        return result, pipe.read(65536) or b''


def decode_strictly(data: bytes, formats: tuple[str, ...] | None = None) -> Image.Image:
    """Decode an image to its last byte with Pillow.

    Args:
        data: Content of its file.
        formats: Pillow's names of the formats that are allowed; None for all.

    Returns:
        The image.

    Raises:
        UnidentifiedImageError: It is of none of the formats.
        Exception: It is broken; what Pillow raises then is not bounded.
    """
    with Image.open(BytesIO(data), formats=formats) as image:
        image.verify()  # the checksums of PNG, which decoding passes over
    image = Image.open(BytesIO(data), formats=formats)
    image.load()
    return image


def decode_all(
    paths: Sequence[Path],
    take: Callable[[Path, Image.Image], T],
    workers: int,
    console: Console,
    formats: tuple[str, ...] | None = None,
) -> list[T]:
    """Decode images to their last byte, in threads, and take something from each.

    Args:
        paths: The images.
        take: Takes it from a path and its image; its ``ValueError`` says what is wrong with it.
        workers: Number of threads.
        console: Where progress is shown, if it is a terminal.
        formats: Pillow's names of the formats that are allowed; None for all.

    Returns:
        What was taken, in the order of the paths.

    Raises:
        ValueError: Some are broken, no images, or refused by ``take``; names the first ten.
    """

    def decode(path: Path) -> T | _Broken:
        try:
            return take(path, decode_strictly(path.read_bytes(), formats))
        except UnidentifiedImageError:
            return _Broken(f'{path} (no {", ".join(formats) if formats else "image"})')
        except Exception as error:  # what a broken file makes Pillow raise is not bounded
            return _Broken(f'{path} ({error})')

    console.print(f'decoding {len(paths)} images')
    # Threads suffice: Pillow decodes without the interpreter's lock.
    pool = ThreadPoolExecutor(workers)
    try:
        results = list(
            track(
                pool.map(decode, paths),
                'images',
                total=len(paths),
                console=console,
                transient=True,
                disable=not console.is_terminal,
            )
        )
    finally:
        pool.shutdown(cancel_futures=True)  # an interrupt does not wait for the rest
    broken = [result.text for result in results if isinstance(result, _Broken)]
    if broken:
        raise ValueError(f'images that are broken ({len(broken)}): {first_ten(broken)}')
    return [result for result in results if not isinstance(result, _Broken)]


def first_ten(items: Sequence[str]) -> str:
    """Name the first ten of some items, and how many more there are."""
    more = [f'and {len(items) - 10} more'] if len(items) > 10 else []
    return ', '.join([*items[:10], *more])


def upright_rgb(image: Image.Image) -> Image.Image:
    """Return an image as it is to be looked at, as OpenCV reads files too.

    Args:
        image: The image, of any orientation, and of any mode but those below.

    Returns:
        Upright, RGB; of 16 bits the upper eight.

    Raises:
        ValueError: Its pixels are 32-bit integers or floats, whose range is unknown.
    """
    if image.mode in ('I', 'F'):
        raise ValueError(f'pixels of mode {image.mode} have no known range')
    if image.mode.startswith('I;16'):
        image = Image.fromarray((np.asarray(image) >> 8).astype(np.uint8))
    return ImageOps.exif_transpose(image).convert('RGB')
