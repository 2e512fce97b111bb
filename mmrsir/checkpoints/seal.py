"""Seals of checkpoint files: the SHA-256 of a file, kept at its own end.

``torch.save`` writes zip archives, which may end in a comment; the seal is one, so that sealed
files are read as ever, by every program, and stay sealed when they are copied or renamed.
"""

import hashlib
import os
import zipfile
from typing import BinaryIO

from ..utils.errors import UserError

MARK = b'sha256:'
DIGEST_BYTES = hashlib.sha256().digest_size * 2  # in hexadecimal digits
BLOCK_BYTES = 2**20
# A zip archive ends in the length of its comment, two bytes, and the comment.
LENGTH_BYTES = 2
NO_COMMENT = bytes(LENGTH_BYTES)


class CorruptCheckpointError(UserError, ValueError):
    """A checkpoint file is damaged."""


def seal(file: BinaryIO) -> None:
    """Append the seal to a file that ``torch.save`` wrote."""
    file.seek(-LENGTH_BYTES, os.SEEK_END)
    if file.read() != NO_COMMENT:
        raise ValueError('the file cannot be sealed: it must be a zip archive without a comment')
    file.seek(-LENGTH_BYTES, os.SEEK_END)
    file.write((len(MARK) + DIGEST_BYTES).to_bytes(LENGTH_BYTES, 'little') + MARK)
    digest = _digest(file, file.tell())
    file.seek(0, os.SEEK_END)
    file.write(digest)


def verify(path: str | os.PathLike[str]) -> bool:
    """Check the seal of a file; return whether it has one."""
    with open(path, 'rb') as file:
        length = file.seek(0, os.SEEK_END) - DIGEST_BYTES
        if length < len(MARK):
            return False
        file.seek(length - len(MARK))
        mark, expected = file.read(len(MARK)), file.read()
        if mark != MARK:
            return False
        if _digest(file, length) != expected:
            raise CorruptCheckpointError(
                f'{path} is damaged: its SHA-256 is not the one in its seal. Copy it again'
            )
    return True


def check_intact(path: str | os.PathLike[str]) -> None:
    """Check that a checkpoint is whole: by its seal or, where it has none, as a zip archive."""
    if not verify(path):
        check_sums(path)


def check_sums(path: str | os.PathLike[str]) -> None:
    """Compare the contents of a zip archive with its checksums, which ``torch.load`` ignores."""
    try:
        with zipfile.ZipFile(path) as archive:
            damaged = archive.testzip()
    except OSError:
        raise
    except Exception as error:  # a damaged archive can raise anything
        raise CorruptCheckpointError(f'{path} is damaged: {error}') from error
    if damaged is not None:
        raise CorruptCheckpointError(
            f'{path} is damaged: the checksum of {damaged} is wrong. Copy it again'
        )


def _digest(file: BinaryIO, length: int) -> bytes:
    """Hash the first bytes of a file."""
    digest = hashlib.sha256()
    file.seek(0)
    while length > 0:
        block = file.read(min(BLOCK_BYTES, length))
        digest.update(block)
        length -= len(block)
    return digest.hexdigest().encode()
