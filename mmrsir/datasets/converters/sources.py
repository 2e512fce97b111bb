"""What a converter is given: a folder, or an archive that is extracted to one."""

import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from rich.console import Console

from ...utils.missing import MissingPathError, nearest
from .archives import extract, is_archive


def check_exists(source: Path) -> None:
    """Raise MissingPathError with the nearest name where there is no such file or folder."""
    if not source.exists():
        raise MissingPathError(f'{source} does not exist{nearest(source)}')


@contextmanager
def unpacked(source: Path, scratch: Path, needed: str, console: Console) -> Iterator[Path]:
    """Give the folder of a source for as long as it is read."""
    check_exists(source)
    if source.is_dir():
        yield source
        return
    _check_archive(source, needed)
    scratch.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix='extracted-', dir=scratch) as folder:
        extract(source, Path(folder, source.stem), console)
        yield Path(folder, source.stem)


def kept_folder(source: Path, folder: Path, needed: str, console: Console) -> Path:
    """Return the folder of a source; an archive is extracted to stay."""
    check_exists(source)
    if source.is_dir():
        return source
    _check_archive(source, needed)
    if folder.exists():
        console.print(f'using {folder}; remove it to extract {source} anew')
    else:
        extract(source, folder, console)
    return folder


def clear(folder: Path) -> None:
    """Remove a folder of an earlier conversion, if there is one."""
    shutil.rmtree(folder, ignore_errors=True)


def _check_archive(source: Path, needed: str) -> None:
    if not is_archive(source):
        raise ValueError(f'{source} is neither a folder nor an archive. {needed}')
