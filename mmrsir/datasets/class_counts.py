"""How often each class of a data set occurs, and which occur too seldom to learn or to measure."""

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from ..utils.listing import first_ten
from .class_names import leaves

# A class is rare with at most so many images and less than so large a share of the mean of all.
RARE_IMAGES = 10
RARE_SHARE = 0.2
RARE_PIXELS = 1e-4  # of all pixels that have a class
NEARLY_ALL = 0.9
# What is looked at before a training: so many records take two or three seconds.
MOST_RECORDS = 150_000
MOST_MAPS = 64
MOST_PIXELS = 200_000_000
SHOWN_CLASSES = 30
_COLUMNS = {
    'images': ('images',),
    'boxes': ('images', 'boxes', 'masks', 'crowd', 'ignored'),
    'pixels': ('images', 'pixels'),
}


@dataclass
class ClassCounts:
    """What a data set has of each class."""

    names: list[str]
    learned: str  # what a model learns from: 'images', 'boxes' or 'pixels'
    # Numbers by label: images; for detection boxes, masks (the boxes that have one), crowd
    # (iscrowd=1) and ignored (ignore, or without an area); for segmentation pixels.
    columns: dict[str, list[int]]
    num_images: int = 0  # that were looked at
    total: int = 0  # that there are
    ignored_pixels: int = 0
    ignored_values: dict[int, int] = field(default_factory=dict)  # pixels of each value
    reduces_zero: bool = False  # reduce_zero_label

    @classmethod
    def empty(cls, names: Sequence[str], learned: str) -> 'ClassCounts':
        return cls(list(names), learned, {one: [0] * len(names) for one in _COLUMNS[learned]})

    @property
    def occurring(self) -> list[int]:
        """Labels that a model can learn, or be measured by."""
        return [label for label, count in enumerate(self.columns[self.learned]) if count]

    @property
    def is_sample(self) -> bool:
        return self.num_images < self.total

    @property
    def too_few(self) -> bool:
        """Whether a metric would rest on one of several classes, or on none."""
        return len(self.occurring) < min(2, len(self.names))

    def add_objects(self, instances: Sequence[dict[str, Any]]) -> None:
        seen = set()
        for one in instances:
            label = one['bbox_label']
            if one.get('left_out'):
                self.columns['ignored'][label] += 1
            elif one.get('ignore_flag'):
                self.columns['crowd'][label] += 1
            else:
                self.columns['boxes'][label] += 1
                self.columns['masks'][label] += bool(one.get('mask'))
                seen.add(label)
        for label in seen:
            self.columns['images'][label] += 1
        self.num_images += 1

    def add_labels(self, labels: Sequence[int]) -> None:
        for label in labels:
            if 0 <= label < len(self.names):
                self.columns['images'][label] += 1
        self.num_images += 1

    def add_pixels(self, pixels: dict[int, int]) -> None:
        """Count the pixels of a label map by their label; what is no label is ignored."""
        for label, count in pixels.items():
            if 0 <= label < len(self.names):
                self.columns['pixels'][label] += count
                self.columns['images'][label] += count > 0
            else:
                self.ignored_pixels += count
        self.num_images += 1

    def findings(self) -> Iterator[tuple[str, str]]:
        """Say which classes a model cannot learn, or not be measured by."""
        where = f'the {self.num_images:,} images'
        if self.is_sample:
            where = f'the {self.num_images:,} of {self.total:,} images that were looked at'
        counts = self.columns[self.learned]
        others = {name: sum(self.columns.get(name, ())) for name in ('crowd', 'ignored')}
        unused = sum(others.values()) + self.ignored_pixels
        ignored = self._ignored_text()
        if not any(counts):
            if unused:
                why = {
                    'crowd': 'have iscrowd=1 (write 0 for single objects)',
                    'ignored': 'are ignored or have no area',
                }
                said = [f'{count:,} {why[name]}' for name, count in others.items() if count]
                reason = ', '.join(said) or ignored
                yield 'nothing-to-learn', f'no {self.learned} of any class in {where}: {reason}'
            return
        absent = [repr(name) for name, n in zip(self.names, counts, strict=True) if not n]
        more = ignored and f'; {ignored}'
        if self.too_few:
            name = self.names[self.occurring[0]]
            detail = f'of {len(self.names)} classes only {name!r} occurs in {where}'
            yield 'single-class', detail + more
        elif absent:
            detail = f'{len(absent)} of {len(self.names)} classes have no {self.learned} in {where}'
            yield 'empty-class', f'{detail}: {first_ten(absent)}{more}'
        yield from self._rare()
        for column, kind in (('crowd', 'crowd-class'), ('ignored', 'ignored-class')):
            rows = zip(self.names, self.columns.get(column, counts), counts, strict=True)
            most = [f'{n!r} ({m} of {m + k})' for n, m, k in rows if m and _nearly_all(m, m + k)]
            if column in self.columns and most:
                yield kind, first_ten(most)
        if not self.too_few and _nearly_all(self.ignored_pixels, self.ignored_pixels + sum(counts)):
            yield 'ignored-class', ignored

    def _rare(self) -> Iterator[tuple[str, str]]:
        images, counts = self.columns['images'], self.columns[self.learned]
        mean, total = sum(images) / len(self.names), sum(counts)
        rare = [
            f'{name!r} ({self._amount(label)})'
            for label, (name, n, count) in enumerate(zip(self.names, images, counts, strict=True))
            if (0 < n <= RARE_IMAGES and n < RARE_SHARE * mean)
            or (self.learned == 'pixels' and 0 < count < RARE_PIXELS * total)
        ]
        if rare and not self.is_sample:
            yield 'rare-class', f'{len(rare)} of {len(self.names)} classes: {first_ten(rare)}'

    def _amount(self, label: int) -> str:
        images = f'{self.columns["images"][label]} images'
        if self.learned == 'images':
            return images
        return f'{self.columns[self.learned][label]:,} {self.learned} in {images}'

    def _ignored_text(self) -> str:
        if not self.ignored_pixels:
            return ''
        share = self.ignored_pixels / (self.ignored_pixels + sum(self.columns['pixels']))
        values = ', '.join(str(one) for one, count in sorted(self.ignored_values.items()) if count)
        named = f' (value {values})' if values else ''
        absent = [label for label in range(len(self.names)) if label not in self.occurring]
        if values.isdecimal() and absent and not self.reduces_zero:
            named += f'; if {values} is {self.names[absent[0]]!r}, replace it in the label maps: '
            named += f'labels[labels == {values}] = {absent[0]}'
        zero = '; reduce_zero_label=True ignores 0, and makes 1 the first class'
        return f'{share:.1%} of the pixels are ignored{named}{zero if self.reduces_zero else ""}'


def _nearly_all(part: float, whole: float) -> bool:
    return whole > 0 and part >= NEARLY_ALL * whole


def count_loaded(dataset: Any, names: Sequence[str]) -> ClassCounts | None:
    """Count the classes of a data set that a training has loaded.

    At most ``MOST_RECORDS`` records are looked at, evenly spaced, and ``MOST_MAPS`` label maps.
    """
    counts = None
    parts = [part for part in leaves(dataset) if len(part)]
    total = sum(map(len, parts))
    for part in parts:
        first = part.get_data_info(0)
        transforms = getattr(getattr(part, 'pipeline', None), 'transforms', ())
        load = next((one for one in transforms if hasattr(one, '_load_seg_map')), None)
        learned = _learned(first, load)
        if learned is None:
            return None
        counts = counts or ClassCounts.empty(names, learned)
        counts.total, counts.reduces_zero = total, bool(first.get('reduce_zero_label'))
        most = MOST_MAPS if counts.learned == 'pixels' else MOST_RECORDS
        for index in range(0, len(part), math.ceil(total / most)):
            if sum(counts.columns.get('pixels', ())) + counts.ignored_pixels > MOST_PIXELS:
                break
            _add(counts, part.get_data_info(index), load)
    return counts if counts and counts.num_images else None


def _learned(first: dict[str, Any], load: Any) -> str | None:
    if 'instances' in first:
        return 'boxes'
    if 'gt_label' in first:
        return 'images'
    return 'pixels' if first.get('seg_map_path') is not None and load is not None else None


def _add(counts: ClassCounts, info: dict[str, Any], load: Any) -> None:
    if counts.learned == 'boxes':
        counts.add_objects(info['instances'])
    elif counts.learned == 'images':
        counts.add_labels(np.atleast_1d(info['gt_label']).tolist())
    else:
        try:
            labels = load({**info, 'seg_fields': []})['gt_seg_map']
        except Exception:  # the training says it, with the file's name
            return
        values, numbers = np.unique(labels, return_counts=True)
        counts.add_pixels(dict(zip(values.tolist(), numbers.tolist(), strict=True)))


def to_tables(counts: dict[str, ClassCounts]) -> list[str]:
    """Lay out counts by the names of their data sets, those of the same classes side by side."""
    groups: dict[tuple[str, ...], dict[str, ClassCounts]] = {}
    for name, one in counts.items():
        groups.setdefault(tuple(one.names), {})[name] = one
    return [line for group in groups.values() for line in _to_table(group)]


def _to_table(counts: dict[str, ClassCounts]) -> list[str]:
    first = next(iter(counts.values()))
    names, order, head = first.names, list(range(len(first.names))), []
    if len(names) > SHOWN_CLASSES:
        order = sorted(order, key=first.columns[first.learned].__getitem__)[:SHOWN_CLASSES]
        head = [f'the rarest {SHOWN_CLASSES} of {len(names)} classes']
    table = [['class', *(names[label] for label in order)]]
    for split, one in counts.items():
        for column, numbers in one.columns.items():
            if any(numbers) or column in ('images', one.learned):
                table.append([f'{split} {column}', *(f'{numbers[label]:,}' for label in order)])
    widths = [max(map(len, cells)) for cells in table]
    return head + [
        '  '.join([row[0].ljust(widths[0]), *map(str.rjust, row[1:], widths[1:])]).rstrip()
        for row in zip(*table, strict=True)
    ]
