"""Check of data sets against one another: the classes they name, the images they share."""

from collections import defaultdict
from collections.abc import Sequence

from ..class_names import contradiction, difference, similar, unmatched
from .findings import TRAIN, Report


def compare_names(reports: Sequence[Report]) -> None:
    """Compare the classes of each data set with the config, and with the first trained on."""
    for report in reports:
        declared, found = report.declared, report.found
        if found is None:
            continue
        for group in similar(found.names):
            report.add('same-name', report.source, ' and '.join(map(repr, group)))
        # Where the data has too many classes, that is found already.
        if declared is not None and len(found.names) <= len(declared.names):
            if said := contradiction(declared, found):
                report.add('class-order', report.source, said)
            elif said := unmatched(declared, found):
                report.add('other-name', report.source, said)
    first = next((report for report in reports if report.is_trained_on), None)
    if first is None:
        return
    for report in reports:
        said = None
        if first.found and report.found:
            # A class that comes last may lack: no label moves.
            said = difference(first.found, report.found, may_lack_last=True)
        if not said and first.declared and report.declared:
            said = difference(first.declared, report.declared)
        if said:
            report.add('other-classes', report.source, said)


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
