"""Which class a label stands for, and whether two places agree on it.

Names are compared, not counts: with the same number of classes in another order every number that
is reported would be that of another class. Upper and lower case, ``_``, ``-`` and blanks make no
difference between names.
"""

import json
import os
import re
import unicodedata
from collections import Counter, defaultdict
from collections.abc import Collection, Iterator, Mapping, Sequence
from contextlib import suppress
from mmap import ACCESS_READ, mmap
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from ..utils.listing import first_ten

_KEY = b'"categories"'
_NO_CLASS = ('.', '__')  # hidden folders, and those of archives
_FLAT_LIST = re.compile(rb'\s*:\s*(\[[^\[\]]*\])')  # one that holds no list


class Naming(NamedTuple):
    """What a place calls the labels."""

    place: str
    names: Sequence[str | None]


def folded(name: str) -> str:
    return re.sub(r'[\s_-]+', ' ', unicodedata.normalize('NFC', name).casefold()).strip()


def contradiction(given: Naming, found: Naming) -> str | None:
    """Say where a name that both places know stands for two labels.

    Names that only one place knows are no contradiction: folders may have codes for names.
    """
    places = _labels(given)
    differ = [
        label
        for label, name in enumerate(found.names)
        if name is not None and label not in places.get(folded(name), {label})
    ]
    return _describe(given, found, differ)


def unmatched(given: Naming, found: Naming) -> str | None:
    """Say which labels the data calls otherwise than the config, where most are called alike."""
    pairs = [
        (one, other)
        for one, other in zip(given.names, found.names, strict=False)
        if one is not None and other is not None
    ]
    differ = [f'{other!r} for {one!r}' for one, other in pairs if folded(one) != folded(other)]
    return first_ten(differ) if 0 < len(differ) <= len(pairs) / 2 else None


def difference(first: Naming, second: Naming, may_lack_last: bool = False) -> str | None:
    """Say where two places call a label differently."""
    one, other = first.names, second.names
    differ = [
        label
        for label in range(min(len(one), len(other)))
        if (a := one[label]) is not None
        and (b := other[label]) is not None
        and folded(a) != folded(b)
    ]
    if len(one) < len(other) or (len(other) < len(one) and not may_lack_last):
        differ += range(min(len(one), len(other)), max(len(one), len(other)))
    return _describe(first, second, differ)


def similar(names: Sequence[str | None]) -> list[list[str]]:
    groups = defaultdict(list)
    for name in names:
        if name is not None:
            groups[folded(name)].append(name)
    return [group for group in groups.values() if len(group) > 1]


def surplus(found: Collection[str], classes: Collection[str]) -> str:
    """Say which names are too many and which are missing, where their number differs."""
    known, there = set(map(folded, classes)), set(map(folded, found))
    if known & there:
        more = [name for name in found if folded(name) not in known]
        less = [name for name in classes if folded(name) not in there]
    else:  # codes for names
        more, less = [name for name in found if name.startswith(_NO_CLASS)], []
    said = []
    if more:
        said.append(f'the config does not have {first_ten([*map(repr, more)])}')
        if all(name.startswith(_NO_CLASS) for name in more):
            said[0] += ': delete this folder, or move it elsewhere'
    if less:
        said.append(f'the data does not have {first_ten([*map(repr, less)])}')
        if not more:
            said[0] += ': make a folder of this name; it may stay empty'
    there_are = first_ten([repr(name) for name in found])
    return '; '.join(said) or f'the data has {there_are or "no folder for a class"}'


def new_labels(reduce_zero_label: bool, label_map: Mapping[int, int] | None) -> NDArray[np.uint8]:
    """Return what mmseg makes of each value of a label map, (256,)."""
    reduced = np.arange(256, dtype=np.uint8)
    if reduce_zero_label:
        reduced[1:255] -= 1
        reduced[0] = 255
    new_label = reduced.copy()
    for old, new in (label_map or {}).items():
        new_label[reduced == old] = new
    return new_label


def leaves(dataset: Any) -> Iterator[Any]:
    """Iterate over the data sets that a built one is made of, below all wrappers."""
    if hasattr(dataset, 'datasets'):
        for part in dataset.datasets:
            yield from leaves(part)
    elif hasattr(dataset, 'dataset'):
        yield from leaves(dataset.dataset)
    else:
        yield dataset


def spread(length: int, most: int) -> range:
    """Return at most so many indices of a data set, evenly spread over it."""
    return range(0, length, max(1, -(-length // most)))


def declared_names(dataset: Any, place: str) -> Naming | None:
    """Return the names that a config gives the classes of a data set that is no wrapper."""
    classes = dataset.metainfo.get('classes')
    if classes is None or list(classes) == list(getattr(dataset, 'folder_to_idx', ())):
        return None
    return Naming(place, tuple(classes))


def found_names(dataset: Any, place: str) -> Naming | None:
    if hasattr(dataset, 'folder_to_idx'):
        return Naming(f'the folders of {place} ({dataset.img_prefix})', (*dataset.folder_to_idx,))
    ids, path = getattr(dataset, 'cat_ids', None), getattr(dataset, 'ann_file', '')
    if not ids or not os.path.isfile(path):
        return None
    name_of = {category.get('id'): category.get('name') for category in _categories(path, ids)}
    return Naming(f'{path} of {place}', tuple(name_of.get(one) for one in ids))


def names_of_folders(labels: dict[str, int], root: str) -> tuple[str | None, ...]:
    """Return the folder of each label of a list; None where it is not one folder for one label."""
    folders = defaultdict(set)
    for path, label in labels.items():
        folder, _, rest = path.removeprefix(root).lstrip('/').partition('/')
        folders[label].add(folder if rest else '')
    owners = Counter(name for names in folders.values() for name in names)
    found: list[str | None] = [None] * (max(folders, default=-1) + 1)
    for label, (name, *others) in folders.items():
        if label >= 0 and name and not others and owners[name] == 1:
            found[label] = name
    return tuple(found)


def _labels(naming: Naming) -> dict[str, set[int]]:
    labels = defaultdict(set)
    for label, name in enumerate(naming.names):
        if name is not None:
            labels[folded(name)].add(label)
    return labels


def _describe(first: Naming, second: Naming, differ: Sequence[int]) -> str | None:
    if not differ:
        return None
    label = differ[0]
    said = [f'{_name(one, label)} in {one.place}' for one in (second, first)]
    total = max(len(first.names), len(second.names))
    text = f'label {label} is {" and ".join(said)}; {len(differ)} of {total} labels differ'
    one, other = (sorted(_labels(naming)) for naming in (first, second))
    if one != other:
        return text
    exact = [[name for name in naming.names if name is not None] for naming in (first, second)]
    reason = 'the names are the same in another order'
    if set(exact[0]) != set(exact[1]):
        reason = 'the names differ in case'
    if exact[1] == sorted(exact[1]) != sorted(exact[1], key=str.casefold):
        reason += '; sorting puts all capitals before the small letters'
    return f'{text}: {reason}'


def _name(naming: Naming, label: int) -> str:
    return repr(naming.names[label]) if label < len(naming.names) else 'no class'


def _categories(path: str, ids: Sequence[Any]) -> list[dict[str, Any]]:
    """Read the categories of a COCO file, if that is possible without the rest of it."""
    with Path(path).open('rb') as file, mmap(file.fileno(), 0, access=ACCESS_READ) as data:
        start = data.rfind(_KEY)
        while start >= 0:
            match = _FLAT_LIST.match(data, start + len(_KEY))
            with suppress(ValueError):
                found = json.loads(match[1]) if match else []
                if all(isinstance(one, dict) for one in found) and set(ids) <= {
                    one.get('id') for one in found
                }:
                    return list(found)
            start = data.rfind(_KEY, 0, start)
    content = json.loads(Path(path).read_bytes())
    return [one for one in content.get('categories', ()) if isinstance(one, dict)]
