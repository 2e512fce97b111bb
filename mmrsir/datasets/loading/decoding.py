"""Decoding of the images that a converter is given."""

from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from io import BytesIO
from pathlib import Path
from typing import TypeVar

from PIL import Image, UnidentifiedImageError
from rich.console import Console
from rich.progress import track

T = TypeVar('T')


@dataclass(frozen=True)
class _Broken:
    text: str


def decode_strictly(data: bytes, formats: tuple[str, ...] | None = None) -> Image.Image:
    """Decode an image to its last byte with Pillow."""
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
    """Decode images to their last byte, in threads, and take something from each."""

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
