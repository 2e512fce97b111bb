"""What a check found, for people and for programs."""

import json
from collections import Counter
from collections.abc import Sequence
from dataclasses import asdict

from ..class_counts import ClassCounts, to_table
from .configs import Report
from .faults import ERRORS, WARNINGS

LINES_PER_KIND = 10


def to_text(reports: Sequence[Report]) -> str:
    lines = [*(_describe(report) for report in reports), *_tables(reports)]
    for kind, meaning in {**ERRORS, **WARNINGS}.items():
        found = sorted(
            f'  {", ".join(report.splits)}: {fault.path}: {fault.detail}'
            for report in reports
            for fault in report.faults
            if fault.kind == kind
        )
        if found:
            level = 'error' if kind in ERRORS else 'warning'
            lines += ['', f'{level} {kind} ({len(found)}): {meaning}', *found[:LINES_PER_KIND]]
        if len(found) > LINES_PER_KIND:
            lines.append(f'  and {len(found) - LINES_PER_KIND} more, which --json lists')
    totals = Counter(fault.is_error for report in reports for fault in report.faults)
    lines += ['', f'errors: {totals[True]}, warnings: {totals[False]}']
    # The name of a file may hold what cannot be printed.
    return '\n'.join(lines).encode(errors='backslashreplace').decode()


def to_json(reports: Sequence[Report]) -> str:
    """Return the number of faults of each kind, and each report with its faults and counts."""
    datasets = []
    for report in reports:
        faults = [
            {'level': 'error' if fault.is_error else 'warning', **asdict(fault)}
            for fault in sorted(report.faults, key=lambda fault: (fault.path, fault.kind))
        ]
        numbers = report.counts and asdict(report.counts)
        datasets.append({**vars(report), 'counts': numbers, 'faults': faults})
    counts = Counter(fault.kind for report in reports for fault in report.faults)
    return json.dumps({'counts': counts, 'datasets': datasets}, indent=1) + '\n'


def _tables(reports: Sequence[Report]) -> list[str]:
    """Lay out how often each class occurs: one table of all data sets with the same classes."""
    groups: dict[tuple[str, ...], dict[str, ClassCounts]] = {}
    for report in reports:
        if report.counts is not None and report.counts.num_images:
            group = groups.setdefault(tuple(report.counts.names), {})
            name = '+'.join(report.splits)
            group[name if name not in group else f'{name} {report.name}'] = report.counts
    return [line for group in groups.values() for line in ('', *to_table(group))]


def _describe(report: Report) -> str:
    name = f'{", ".join(report.splits)}: {report.name}'
    if report.num_images is None:
        return f'{name}: not loaded'
    return f'{name}: {report.num_left} of {report.num_images} images {report.filtered}'.rstrip()
