"""Decoding of the images that a converter is given."""

from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TypeVar, cast

from PIL import Image, UnidentifiedImageError
from rich.console import Console

from ...utils.errors import InvalidValueError
from ...utils.listing import first_ten
from ...utils.progress import show_progress
from .headers import open_image
from .jpeg import check_jpeg

T = TypeVar('T')


def decode_strictly(data: bytes, formats: tuple[str, ...] | None = None) -> Image.Image:
    """Decode an image to its last byte with Pillow, however large it is."""
    _open(data, formats).verify()  # the checksums of PNG, which decoding passes over
    image = _open(data, formats)
    image.load()
    if image.format in ('JPEG', 'MPO'):  # Pillow is silent on what is missing
        check_jpeg(data)
    return image


def _open(data: bytes, formats: tuple[str, ...] | None) -> Image.Image:
    image = open_image(data, formats)
    if image is None:
        raise UnidentifiedImageError(f'no {", ".join(formats) if formats else "image"}')
    return image


def decode_all(
    paths: Sequence[Path],
    take: Callable[[Path, Image.Image], T],
    workers: int,
    console: Console,
    formats: tuple[str, ...] | None = None,
) -> list[T]:
    """Decode images in threads and return what is taken of each; ten of the broken are named."""
    broken: dict[Path, str] = {}

    def decode(path: Path) -> T | None:
        try:
            return take(path, decode_strictly(path.read_bytes(), formats))
        except Exception as error:  # what a broken file makes Pillow raise is not bounded
            broken[path] = str(error)
        return None

    console.print(f'decoding {len(paths)} images')
    # Threads suffice: Pillow decodes without the interpreter's lock.
    pool = ThreadPoolExecutor(workers)
    try:
        taken = list(show_progress(pool.map(decode, paths), 'images', len(paths), console))
    finally:
        pool.shutdown(cancel_futures=True)  # an interrupt does not wait for the rest
    if broken:
        named = [f'{path} ({broken[path]})' for path in paths if path in broken]
        raise InvalidValueError(f'images that are broken ({len(named)}): {first_ten(named)}')
    return cast(list[T], taken)
