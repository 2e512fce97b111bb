"""Decoding of the images that a converter is given."""

from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TypeVar

from PIL import Image, UnidentifiedImageError

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
    paths: Iterable[Path],
    take: Callable[[Path, Image.Image], T],
    workers: int,
    formats: tuple[str, ...] | None = None,
) -> dict[Path, T]:
    """Decode images in threads; return what is taken of each, in order; ten broken are named."""
    paths = list(paths)
    taken: dict[Path, T] = {}
    broken: dict[Path, str] = {}

    def decode(path: Path) -> None:
        try:
            taken[path] = take(path, decode_strictly(path.read_bytes(), formats))
        except Exception as error:  # what a broken file makes Pillow raise is not bounded
            broken[path] = str(error)

    print(f'decoding {len(paths)} images')
    # Threads suffice: Pillow decodes without the interpreter's lock.
    pool = ThreadPoolExecutor(workers)
    try:
        for _ in show_progress(pool.map(decode, paths), 'images', len(paths)):
            pass
    finally:
        pool.shutdown(cancel_futures=True)  # an interrupt does not wait for the rest
    if broken:
        named = [f'{path} ({broken[path]})' for path in paths if path in broken]
        raise InvalidValueError(f'images that are broken ({len(named)}): {first_ten(named)}')
    return {path: taken[path] for path in paths}
