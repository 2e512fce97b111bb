"""Check of data sets against one another: the classes they name, the images they share."""

from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import TypeVar

from ..class_names import Naming, contradiction, difference, similar, unmatched
from .content import Content
from .faults import Fault

TRAIN = 'train'


@dataclass(frozen=True, eq=False)
class Part:
    splits: Sequence[str]
    source: str
    declared: Naming | None
    content: Content

    @property
    def is_trained_on(self) -> bool:
        return TRAIN in self.splits


P = TypeVar('P', bound=Part)


def compare_names(parts: Sequence[P]) -> Iterator[tuple[P, Fault]]:
    """Compare the classes of each data set with the config, and with the first trained on."""
    for part in parts:
        found = part.content.found
        if found is None:
            continue
        for group in similar(found.names):
            yield part, Fault('same-name', part.source, ' and '.join(map(repr, group)))
        # Where the data has too many classes, that is found already.
        if part.declared is not None and len(found.names) <= len(part.declared.names):
            said = contradiction(part.declared, found)
            if said is not None:
                yield part, Fault('class-order', part.source, said)
            elif (said := unmatched(part.declared, found)) is not None:
                yield part, Fault('other-name', part.source, said)
    first = next((part for part in parts if part.is_trained_on), None)
    if first is None:
        return
    for part in parts:
        said = None
        if part is first:
            continue
        if first.content.found is not None and part.content.found is not None:
            # A class that comes last may lack: no label moves.
            said = difference(first.content.found, part.content.found, may_lack_last=True)
        if said is None and first.declared is not None and part.declared is not None:
            said = difference(first.declared, part.declared)
        if said is not None:
            yield part, Fault('other-classes', part.source, said)


def compare_images(parts: Sequence[P]) -> Iterator[tuple[P, Fault]]:
    """Find images that occur more than once, by their pixels."""
    trained: dict[bytes, str] = {}
    for part in parts:
        yield from ((part, fault) for fault in _repeated(part.content))
        if part.is_trained_on:
            trained.update({digest: path for path, digest in part.content.digests.items()})
    for part in parts:
        evaluated = [split for split in part.splits if split != TRAIN]
        digests = part.content.digests
        shared = sorted(path for path, digest in digests.items() if digest in trained)
        if not evaluated or not shared:
            continue
        total = f'{len(shared)} of the {len(digests)} images of {", ".join(evaluated)}'
        for path in shared:
            other = trained[digests[path]]
            where = 'this very file' if other == path else other
            yield part, Fault('trained-on', path, f'train has it as {where} ({total} are in train)')


def _repeated(content: Content) -> Iterator[Fault]:
    groups = defaultdict(list)
    for path, digest in content.digests.items():
        groups[digest].append(path)
    for group in groups.values():
        if len(group) == 1:
            continue
        first, *others = sorted(group)
        for path in others:
            classes = [content.labels.get(one) for one in (first, path)]
            said = f', there as {classes[0]!r}, here as {classes[1]!r}'
            detail = f'holds the same pixels as {first}'
            yield Fault('same-pixels', path, detail + (said if classes[0] != classes[1] else ''))
