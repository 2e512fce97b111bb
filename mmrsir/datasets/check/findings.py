"""What a check found of each data set, for people and for programs."""

import json
import re
from collections import Counter
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from typing import Any

from mmengine.config import ConfigDict

from ..class_counts import ClassCounts, to_tables
from ..class_names import Naming
from ..loading.reading import Reading
from .faults import ERRORS, WARNINGS, Fault

TRAIN = 'train'
LINES_PER_KIND = 10  # where there are more, the first half is shown


@dataclass(eq=False)
class Report:
    """A data set of a config: what it holds, and what is wrong with it."""

    dataset: Any
    settings: ConfigDict
    splits: list[str]  # that it is for
    faults: list[Fault] = field(default_factory=list)
    num_images: int | None = None  # None: it could not be loaded
    num_left: int | None = None  # by its ``filter_cfg``; None likewise
    filtered: str = ''  # why the others are left out
    declared: Naming | None = None  # what the config calls the labels
    found: Naming | None = None  # what the files call them
    counts: ClassCounts | None = None  # how often each class occurs, if they are known
    digests: dict[str, bytes] = field(default_factory=dict)  # of the images' pixels, by path
    objects: list[int] = field(default_factory=list)  # of each image, without crowds
    labels: dict[str, str] = field(default_factory=dict)  # the class of each image, by path
    is_blind: bool = False  # a test set without annotations
    is_sample: bool = False  # some of its annotations were looked at

    @property
    def source(self) -> str:
        prefix = getattr(self.dataset, 'data_prefix', {})
        return str(getattr(self.dataset, 'ann_file', '') or next(iter(prefix.values()), ''))

    @property
    def name(self) -> str:
        return f'{type(self.dataset).__name__} {self.source}'

    @property
    def reading(self) -> Reading:
        return Reading.of(self.settings) or Reading()

    @property
    def is_trained_on(self) -> bool:
        return TRAIN in self.splits

    @property
    def has_errors(self) -> bool:
        return any(fault.is_error for fault in self.faults)

    def add(self, kind: str, path: str, detail: str) -> None:
        self.faults.append(Fault(kind, path, detail))


def to_text(reports: Sequence[Report]) -> str:
    lines = [*(_describe(report) for report in reports), *_tables(reports)]
    for kind, meaning in {**ERRORS, **WARNINGS}.items():
        found = [
            f'  {", ".join(report.splits)}: {fault.path}: {fault.detail}'
            for report in reports
            for fault in report.faults
            if fault.kind == kind
        ]
        found.sort(key=_natural)
        if found:
            level = 'error' if kind in ERRORS else 'warning'
            shown = found if len(found) <= LINES_PER_KIND else found[: LINES_PER_KIND // 2]
            lines += ['', f'{level} {kind} ({len(found)}): {meaning}', *shown]
            if len(found) > len(shown):
                lines.append(f'  and {len(found) - len(shown)} more, which --json lists')
    totals = Counter(fault.is_error for report in reports for fault in report.faults)
    lines += ['', f'errors: {totals[True]}, warnings: {totals[False]}']
    # The name of a file may hold what cannot be printed.
    return '\n'.join(lines).encode(errors='backslashreplace').decode()


def summary(faults: Sequence[Fault]) -> list[str]:
    """Return a line for each kind of fault: how many there are, and the first."""
    lines = []
    for kind, meaning in {**ERRORS, **WARNINGS}.items():
        found = [fault for fault in faults if fault.kind == kind]
        if found:
            lines.append(f'{kind} ({len(found)}): {meaning}: {found[0].path}: {found[0].detail}')
    return lines


def _natural(text: str) -> list[Any]:
    """Sort numbers in a text by their value."""
    return [int(part) if i % 2 else part for i, part in enumerate(re.split(r'(\d+)', text))]


def to_json(reports: Sequence[Report]) -> str:
    """Return the number of faults of each kind, and each report with its faults and counts."""
    datasets = []
    for report in reports:
        faults = [
            {'level': 'error' if fault.is_error else 'warning', **asdict(fault)}
            for fault in sorted(report.faults, key=lambda fault: (fault.path, fault.kind))
        ]
        shown = ('splits', 'name', 'num_images', 'num_left', 'filtered')
        numbers = {'counts': report.counts and asdict(report.counts), 'faults': faults}
        datasets.append({name: getattr(report, name) for name in shown} | numbers)
    counts = Counter(fault.kind for report in reports for fault in report.faults)
    return json.dumps({'counts': counts, 'datasets': datasets}, indent=1) + '\n'


def _tables(reports: Sequence[Report]) -> list[str]:
    counts: dict[str, ClassCounts] = {}
    for report in reports:
        if report.counts is not None and report.counts.num_images:
            name = '+'.join(report.splits)
            counts[name if name not in counts else f'{name} {report.name}'] = report.counts
    return ['', *to_tables(counts)] if counts else []


def _describe(report: Report) -> str:
    name = f'{", ".join(report.splits)}: {report.name}'
    if report.num_images is None:
        return f'{name}: not loaded'
    return f'{name}: {report.num_left} of {report.num_images} images {report.filtered}'.rstrip()
