"""Paths that do not exist, and the file or folder that was probably meant."""

import os
import re
import unicodedata
from collections.abc import Callable, Iterator
from functools import lru_cache
from itertools import groupby, islice
from pathlib import Path
from urllib.parse import unquote

from .errors import UserError
from .suggestions import did_you_mean

# Names of a folder, which may hold millions: so many are read, and compared letter by letter.
MAX_LISTED = 100_000
MAX_COMPARED = 1000
# At the ends of a name and before its suffix.
_BLANKS = re.compile(r'^\s+|\s+(?=(\.\w+)?$)')
_INVISIBLE = dict.fromkeys(map(ord, '\ufeff\u200b\u200e\u200f'))


class MissingPathError(UserError, FileNotFoundError):
    """A file or folder that the user names does not exist."""


# In what two writings of a path may differ, and what makes them alike; in this order.
_DIFFERENCES: dict[str, Callable[[str], str]] = {
    'folders are separated by /, not by a backslash': lambda path: path.replace('\\', '/'),
    '%20 and its like belong to web addresses': unquote,
    'it has an invisible mark, as a byte order mark is': lambda path: path.translate(_INVISIBLE),
    'a name begins or ends with a blank': (
        lambda path: '/'.join(_BLANKS.sub('', part) for part in path.split('/'))
    ),
    'accents are encoded in another way, NFC or NFD (macOS)': (
        lambda path: unicodedata.normalize('NFC', path)
    ),
    'capital and small letters differ': str.casefold,
    'a folder is named twice: data_root or data_prefix has it already': (
        lambda path: '/'.join(part for part, _ in groupby(path.split('/')))
    ),
}


def nearest(path: str | Path, folder: str | Path | None = None) -> str:
    """Return the end of a message: what is there instead of a path that does not exist, and why.

    Empty where nothing is near. ``folder`` is where the path should be, if it may be a path of
    another computer.
    """
    wanted = os.path.expanduser(str(path))
    if os.path.islink(wanted) and not os.path.exists(wanted):
        return f': it links to {os.readlink(wanted)}, which is not there'
    for candidate in _readings(wanted):
        found = _resolve(candidate)
        if found is not None:
            reasons = [one for one in _DIFFERENCES if alike(wanted, one) != alike(found, one)]
            because = f' ({"; ".join(reasons)})' if reasons else ''
            return f'; did you mean {found}?{because}'
    parts = [part for part in alike(wanted).split('/') if part]
    for start in range(1, len(parts)) if folder is not None else ():
        found = _resolve(os.path.join(str(folder), *parts[start:]))
        if found is not None:
            return f'; did you mean {found}? (the path is of another folder or computer)'
    parent, name = os.path.split(wanted.rstrip('/'))
    while parent and not os.path.isdir(parent):  # a folder is missing: name that one
        parent, name = os.path.split(parent)
    names = [one for one in _listing(parent)[0][:MAX_COMPARED] if one != name]
    same_stem = [one for one in names if Path(one).stem == Path(name).stem]
    return did_you_mean(name, same_stem[:1] or names, lambda near: os.path.join(parent, near))


def check_file(what: str, path: str) -> None:
    """Raise an error that names the nearest file if there is none; ``https://…`` passes."""
    if Path(path).is_dir():
        raise MissingPathError(f'{what} {path} is a folder: name a file in it')
    if '://' not in path and not Path(path).is_file():
        raise MissingPathError(f'{what} {path} does not exist{nearest(path)}')


def _readings(path: str) -> Iterator[str]:
    """Yield what a path may stand for: itself, and without a folder that is named twice."""
    for one in dict.fromkeys((path, unquote(path).replace('\\', '/'))):
        yield one
        parts = one.split('/')
        for at in range(1, len(parts)):
            if parts[at] and alike(parts[at]) == alike(parts[at - 1]):
                yield '/'.join(parts[:at] + parts[at + 1 :])


def _resolve(path: str) -> str | None:
    """Return the one path that is there and is alike; None if there is none, or several."""
    found = '/' if path.startswith('/') else ''
    for part in filter(None, path.split('/')):
        joined = os.path.join(found, part)
        if not os.path.exists(joined):
            names = _listing(found)[1].get(alike(part), ())
            if len(names) != 1:
                return None
            joined = os.path.join(found, names[0])
        found = joined
    return found


def alike(path: str, but: str = '') -> str:
    """Return a path without the differences that programs and systems make, but for one."""
    for difference, drop in _DIFFERENCES.items():
        if difference != but:
            path = drop(path)
    return re.sub('/+', '/', path).rstrip('/')


def _listing(folder: str) -> tuple[list[str], dict[str, list[str]]]:
    """Return the names in a folder, sorted, and the same by what they are alike to."""
    try:
        return _read_listing(folder or '.', os.stat(folder or '.').st_mtime_ns)
    except (OSError, ValueError):
        return [], {}


@lru_cache(maxsize=16)
def _read_listing(folder: str, changed: int) -> tuple[list[str], dict[str, list[str]]]:
    """Read a folder again only where its time of change is another."""
    with os.scandir(folder) as entries:
        names = sorted(entry.name for entry in islice(entries, MAX_LISTED))
    of_alike: dict[str, list[str]] = {}
    for name in names:
        of_alike.setdefault(alike(name), []).append(name)
    return names, of_alike
