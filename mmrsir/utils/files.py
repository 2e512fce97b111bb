"""Files that are never there in part: written under another name first, then renamed."""

import os
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path

DRAFT = '.draft'


def draft_of(path: Path) -> Path:
    """Return where a file is written before it is there."""
    return path.with_name(path.name + DRAFT)


def write_whole(contents: Mapping[Path, str | bytes]) -> None:
    """Write files into folders that are made; if one fails, what was there before still is."""
    try:
        for path, content in contents.items():
            path.parent.mkdir(parents=True, exist_ok=True)
            draft_of(path).write_bytes(content.encode() if isinstance(content, str) else content)
        for path in contents:
            settle(path)
    finally:
        for path in contents:
            draft_of(path).unlink(missing_ok=True)


def settle(path: Path) -> None:
    """Put a file that is written under its draft's name in its place.

    It is brought to the disk first, so that it is whole after a loss of power too.
    """
    draft = draft_of(path)
    _sync(draft)
    os.replace(draft, path)
    with suppress(OSError):  # some network file systems know no such thing
        _sync(path.parent)


def _sync(path: Path) -> None:
    """Bring a file's content, or a folder's list of files, to the disk."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
