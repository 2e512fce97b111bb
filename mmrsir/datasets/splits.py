"""Seeded splits of labelled images into train and val, and the manifests that publish them.

The rule: within each class the images are ranked by the SHA-256 of ``<seed>/<class>/<name>``, and
the first of them are for validation: a share of the class, rounded half up. So a split depends on
the names of the files alone, on every machine, and an image that is added or removed moves at most
one other image of its class.

A manifest is a JSON file that holds the names of all images and of those for validation, class by
class. Names that differ in their number only are folded: ``001_[0001-0003,0007].jpg`` stands for
four names.
"""

import hashlib
import json
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from fractions import Fraction
from itertools import groupby
from pathlib import Path

from ..utils.errors import InvalidValueError
from ..utils.files import write_whole

SEED = 0
# The last number of a name, of which at most four digits change within a fold.
_LAST_NUMBER = re.compile(r'(.*?)(\d{1,4})(\D*)', re.ASCII)
_FOLDED = re.compile(r'(.*)\[([\d,-]+)\](\D*)', re.ASCII)


@dataclass(frozen=True)
class Split:
    """A data set and what of it is for validation."""

    dataset: str
    seed: int
    val_share: Fraction  # of each class
    images: Mapping[str, tuple[str, ...]]  # names of all images of each class, sorted
    val: Mapping[str, tuple[str, ...]]  # likewise of those for validation

    @property
    def classes(self) -> list[str]:
        return sorted(self.images)

    @property
    def num_images(self) -> int:
        return sum(map(len, self.images.values()))

    @property
    def num_val(self) -> int:
        return sum(map(len, self.val.values()))

    @property
    def sha256(self) -> str:
        """SHA-256 over ``<class>/<name>`` of all images, sorted, a line each."""
        lines = sorted(f'{label}/{name}\n' for label in self.images for name in self.images[label])
        return _sha256(''.join(lines))


def split_images(
    dataset: str, images: Mapping[str, Iterable[str]], val_share: Fraction, seed: int = SEED
) -> Split:
    if not 0 < val_share < 1:
        raise InvalidValueError(f'val_share={val_share} must be between 0 and 1')
    val = {}
    for label, names in images.items():
        ranked = sorted(names, key=lambda name: _sha256(f'{seed}/{label}/{name}'))
        count = int(len(ranked) * val_share + Fraction(1, 2))
        val[label] = tuple(sorted(ranked[:count]))
    return Split(dataset, seed, val_share, {k: tuple(sorted(v)) for k, v in images.items()}, val)


def _sha256(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()


def write_manifest(path: Path, split: Split) -> None:
    content = {
        'dataset': split.dataset,
        'seed': split.seed,
        'val_share': str(split.val_share),
        'num_images': split.num_images,
        'num_val': split.num_val,
        'sha256': split.sha256,
        'classes': {
            label: {'images': fold(split.images[label]), 'val': fold(split.val[label])}
            for label in split.classes
        },
    }
    write_whole({path: json.dumps(content, indent=1, ensure_ascii=False) + '\n'})


def read_manifest(path: Path) -> Split:
    try:
        content = json.loads(path.read_text(encoding='utf-8'))
        classes = content['classes']
        split = Split(
            content['dataset'],
            content['seed'],
            Fraction(content['val_share']),
            {label: tuple(unfold(classes[label]['images'])) for label in classes},
            {label: tuple(unfold(classes[label]['val'])) for label in classes},
        )
        checksum = content['sha256']
    except (ValueError, KeyError, TypeError) as error:
        raise InvalidValueError(f'{path} is no manifest of a split: {error!r}') from None
    strangers = sum(len({*split.val[label]} - {*split.images[label]}) for label in split.classes)
    if strangers or split.sha256 != checksum:
        raise InvalidValueError(
            f'manifest {path} is damaged: its names have the SHA-256 {split.sha256}, '
            f'it says {checksum}; images for validation that it does not have: {strangers}'
        )
    return split


def fold(names: Iterable[str]) -> list[str]:
    """Fold names that differ in their number only."""
    folded = []
    groups: dict[tuple[str, str, int], list[int]] = {}
    for name in sorted(names):
        if '[' in name:
            raise InvalidValueError(f'the name {name!r} holds a "[", which a manifest cannot hold')
        match = _LAST_NUMBER.fullmatch(name)
        if match is None:
            folded.append(name)
        else:
            prefix, digits, suffix = match.groups()
            groups.setdefault((prefix, suffix, len(digits)), []).append(int(digits))
    for (prefix, suffix, width), numbers in groups.items():
        runs = []
        for _, run in groupby(enumerate(numbers), key=lambda pair: pair[1] - pair[0]):
            members = [f'{number:0{width}d}' for _, number in run]
            runs.append(members[0] if len(members) == 1 else f'{members[0]}-{members[-1]}')
        folded.append(f'{prefix}[{",".join(runs)}]{suffix}')
    return folded


def unfold(folded: Iterable[str]) -> list[str]:
    names = []
    for pattern in folded:
        match = _FOLDED.fullmatch(pattern)
        if match is None:
            names.append(pattern)
            continue
        prefix, runs, suffix = match.groups()
        for run in runs.split(','):
            first, _, last = run.partition('-')
            numbers = range(int(first), int(last or first) + 1)
            names += [f'{prefix}{number:0{len(first)}d}{suffix}' for number in numbers]
    return sorted(names)
