"""What a converter is given: a folder, or an archive that is extracted to one."""

import gzip
import lzma
import shutil
import stat
import tarfile
import tempfile
import zipfile
import zlib
from collections.abc import Collection, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

from rich.progress import open as open_with_progress

from ...utils.errors import InvalidValueError
from ...utils.listing import first_ten
from ...utils.missing import MissingPathError, nearest
from ...utils.progress import CONSOLE

_BROKEN = (
    tarfile.TarError,
    zipfile.BadZipFile,
    RuntimeError,  # zipfile: encrypted, or compressed in an unknown way
    gzip.BadGzipFile,
    zlib.error,
    lzma.LZMAError,
    EOFError,
)


def check_exists(source: Path) -> None:
    """Raise MissingPathError with the nearest name where there is no such file or folder."""
    if not source.exists():
        raise MissingPathError(f'{source} does not exist{nearest(source)}')


def check_same(differing: str, problems: Mapping[str, Collection[str]], advice: str) -> None:
    """Raise InvalidValueError that names what differs, kind by kind, if anything does."""
    lines = [
        f'\n  {kind} ({len(names)}): {first_ten(sorted(names))}'
        for kind, names in problems.items()
        if names
    ]
    if lines:
        raise InvalidValueError(f'{differing}:{"".join(lines)}\n{advice}')


def is_archive(path: Path) -> bool:
    """Whether a file is a tar archive, compressed or not, or a zip archive."""
    return tarfile.is_tarfile(path) or zipfile.is_zipfile(path)


def extract(archive: Path, folder: Path) -> None:
    """Extract the regular files of an archive; the folder appears when all of them are there."""
    draft = folder.with_name(folder.name + '.unfinished')
    shutil.rmtree(draft, ignore_errors=True)
    draft.mkdir(parents=True)
    print(f'extracting {archive} to {folder}')
    try:
        with open_with_progress(
            archive,
            'rb',
            description='extracting',
            console=CONSOLE,
            transient=True,
            disable=not CONSOLE.is_terminal,
        ) as file:
            if tarfile.is_tarfile(archive):
                with tarfile.open(fileobj=file) as tar:
                    tar.extractall(draft, filter=_regular)
            else:
                with zipfile.ZipFile(file) as packed:  # it drops '..' and a leading '/' of names
                    members = packed.infolist()
                    links = [one for one in members if stat.S_ISLNK(one.external_attr >> 16)]
                    packed.extractall(draft, [one for one in members if one not in links])
        draft.rename(folder)
    except _BROKEN as error:
        raise InvalidValueError(f'{archive} cannot be extracted: {error}') from error
    finally:
        shutil.rmtree(draft, ignore_errors=True)


def _regular(member: tarfile.TarInfo, folder: str) -> tarfile.TarInfo | None:
    """Pass over links, devices and the like, and refuse what leaves the folder."""
    return tarfile.data_filter(member, folder) if member.isreg() else None


@contextmanager
def unpacked(source: Path, scratch: Path, needed: str) -> Iterator[Path]:
    """Give the folder of a source; an archive is extracted below ``scratch`` for the time being."""
    if _is_folder(source, needed):
        yield source
        return
    scratch.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix='extracted-', dir=scratch) as folder:
        extract(source, Path(folder, source.stem))
        yield Path(folder, source.stem)


def kept_folder(source: Path, folder: Path, needed: str) -> Path:
    """Return the folder of a source; an archive is extracted to ``folder``, to stay."""
    if _is_folder(source, needed):
        return source
    if folder.exists():
        print(f'using {folder}; remove it to extract {source} anew')
    else:
        extract(source, folder)
    return folder


def _is_folder(source: Path, needed: str) -> bool:
    check_exists(source)
    if not source.is_dir() and not is_archive(source):
        raise InvalidValueError(f'{source} is neither a folder nor an archive. {needed}')
    return source.is_dir()
