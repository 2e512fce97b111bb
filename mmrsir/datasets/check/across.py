"""Check of data sets against one another: the classes they name, the images they share."""

from collections import defaultdict
from collections.abc import Sequence

from ..class_names import contradiction, difference, similar, unmatched
from .findings import TRAIN, Report

_SHOWN_CLASSES = 20


def compare_names(reports: Sequence[Report]) -> None:
    """Compare the classes of each data set with the config, and with the first trained on."""
    first = next((report for report in reports if report.is_trained_on), None)
    for report in reports:
        said = _difference(first, report) if first else None
        if said:
            report.add('other-classes', report.source, said)
        elif report.found is not None:  # else the same would be said twice
            _compare_with_config(report)
        for group in similar(report.found.names) if report.found else ():
            report.add('same-name', report.source, ' and '.join(map(repr, group)))


def _difference(first: Report, report: Report) -> str | None:
    """Say where two data sets call a label differently, and what to do."""
    counted = any(fault.kind == 'class-count' for fault in first.faults + report.faults)
    if first.found and report.found and not counted:  # it says which class one has too many
        # A class that comes last may lack: no label moves.
        said = difference(first.found, report.found, may_lack_last=True)
        if said and report.dataset.ann_file:
            return f'{said}. Let both files list the same classes in the same order'
        if said:
            return f'{said}. Give both folders of the same names; some may be empty'
    if first.declared and report.declared:
        said = difference(first.declared, report.declared)
        return said and f'{said}. Give both the same classes in metainfo'
    return None


def _compare_with_config(report: Report) -> None:
    declared, found = report.declared, report.found
    # Where the data has too many classes, that is found already.
    if declared is None or found is None or len(found.names) > len(declared.names):
        return
    if said := contradiction(declared, found):
        what_to_do = 'Write classes of metainfo in the order of the data'
        if len(found.names) <= _SHOWN_CLASSES and None not in found.names:
            what_to_do += f': {list(found.names)}'
        report.add('class-order', report.source, f'{said}. {what_to_do}')
    elif said := unmatched(declared, found):
        report.add('other-name', report.source, said)


def compare_images(reports: Sequence[Report]) -> None:
    """Find images that occur more than once, by their pixels."""
    trained: dict[bytes, str] = {}
    for report in reports:
        _compare_within(report)
        if report.is_trained_on:
            trained.update({digest: path for path, digest in report.digests.items()})
    for report in reports:
        evaluated = ', '.join(split for split in report.splits if split != TRAIN)
        digests = report.digests
        shared = sorted(path for path, digest in digests.items() if digest in trained)
        total = f'{len(shared)} of the {len(digests)} images of {evaluated} are in train'
        for path in shared if evaluated else ():
            other = trained[digests[path]]
            where = 'this very file' if other == path else other
            report.add('trained-on', path, f'train has it as {where} ({total})')


def _compare_within(report: Report) -> None:
    groups = defaultdict(list)
    for path, digest in sorted(report.digests.items()):
        groups[digest].append(path)
    for first, *others in groups.values():
        for path in others:
            detail = f'holds the same pixels as {first}'
            there, here = report.labels.get(first), report.labels.get(path)
            if there != here:
                detail += f', there as {there!r}, here as {here!r}'
            report.add('same-pixels', path, detail)
