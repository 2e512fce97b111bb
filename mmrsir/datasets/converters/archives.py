"""Safe extraction of tar and zip archives."""

import gzip
import lzma
import shutil
import stat
import tarfile
import zipfile
import zlib
from pathlib import Path
from typing import BinaryIO

from rich.console import Console
from rich.progress import open as open_with_progress

_BROKEN = (
    tarfile.TarError,
    zipfile.BadZipFile,
    RuntimeError,  # zipfile: encrypted, or compressed in an unknown way
    gzip.BadGzipFile,
    zlib.error,
    lzma.LZMAError,
    EOFError,
)


def is_archive(path: Path) -> bool:
    """Tell whether a file is a tar archive, compressed or not, or a zip archive."""
    return tarfile.is_tarfile(path) or zipfile.is_zipfile(path)


def extract(archive: Path, folder: Path, console: Console) -> None:
    """Extract the regular files of an archive.

    The folder appears when all of them are there. Nothing is written outside it: tar archives go
    through tarfile's filter ``data``, and links, devices and the like are passed over.
    """
    extract_files = _extract_tar if tarfile.is_tarfile(archive) else _extract_zip
    draft = folder.with_name(folder.name + '.unfinished')
    shutil.rmtree(draft, ignore_errors=True)
    draft.mkdir(parents=True)
    console.print(f'extracting {archive} to {folder}')
    try:
        with open_with_progress(
            archive,
            'rb',
            description='extracting',
            console=console,
            transient=True,
            disable=not console.is_terminal,
        ) as file:
            extract_files(file, draft)
        draft.rename(folder)
    except _BROKEN as error:
        raise ValueError(f'{archive} cannot be extracted: {error}') from error
    finally:
        shutil.rmtree(draft, ignore_errors=True)


def _extract_tar(file: BinaryIO, folder: Path) -> None:
    if not hasattr(tarfile, 'data_filter'):
        raise RuntimeError('extracting a tar safely needs Python 3.10.12, 3.11.4 or newer')
    with tarfile.open(fileobj=file) as archive:
        for member in archive:
            if member.isreg():
                archive.extract(member, folder, filter='data')


def _extract_zip(file: BinaryIO, folder: Path) -> None:
    with zipfile.ZipFile(file) as archive:
        for member in archive.infolist():
            if not member.is_dir() and not stat.S_ISLNK(member.external_attr >> 16):
                archive.extract(member, folder)  # drops '..' and a leading '/' from names
