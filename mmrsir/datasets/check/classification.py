"""Check of lists and class folders of images, as mmpretrain's ``CustomDataset`` reads them."""

import os
from collections.abc import Generator, Iterator, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from ...utils.encoding import encoding_problem
from ..class_counts import ClassCounts
from ..class_names import Naming, difference, names_of_folders, surplus
from ..loading.reading import Reading
from .content import Content, Findings
from .faults import Fault
from .images import check_images, digests
from .processes import Inspector


class _Labels(NamedTuple):
    """The label of each image by its path, and what the files call the labels."""

    of_image: dict[str, int]
    found: Naming


def check(
    dataset: Any,
    inspector: Inspector,
    reading: Reading,
    num_classes: int | None,
    trained: Naming | None = None,
) -> Findings:
    """Check a data set; ``trained`` has the classes of another that is trained on."""
    content = Content()
    if not dataset.with_label:
        paths = [sample['img_path'] for sample in dataset.load_data_list()]
    else:
        known = dataset.CLASSES
        if dataset.ann_file:
            labels = yield from _check_list(dataset, num_classes)
        else:
            labels, lacking = yield from _check_folders(dataset, num_classes, trained)
            known = [*labels.found.names, *lacking] if lacking else known
        paths = list(labels.of_image)
        names = _names(known, labels, num_classes)
        content.found, content.counts = labels.found, _count(labels, names)
        called = _names(None, labels, num_classes)
        content.labels = {
            path: called[label]
            for path, label in labels.of_image.items()
            if label in range(len(called))
        }
        for kind, detail in content.counts.findings():
            if kind != 'empty-class':  # found already, with what was looked for
                yield Fault(kind, dataset.ann_file or dataset.img_prefix, detail)
    found = yield from check_images(inspector, paths, reading, dataset.img_prefix)
    content.digests = digests(found)
    return content


def _names(classes: Sequence[str] | None, labels: _Labels, num_classes: int | None) -> list[str]:
    """Return a name for each label: the config's, the folder's, or the number."""
    found = labels.found.names
    count = len(classes or ()) or max(num_classes or 0, len(found))
    known = [*found, *[None] * (count - len(found))]
    return list(classes or (name or str(label) for label, name in enumerate(known)))


def _count(labels: _Labels, names: Sequence[str]) -> ClassCounts:
    counts = ClassCounts.empty(names, 'images')
    for label in labels.of_image.values():
        counts.add_labels([label])
    counts.total = counts.num_images
    return counts


def _check_list(dataset: Any, num_classes: int | None) -> Generator[Fault, None, _Labels]:
    path, names = dataset.ann_file, dataset.CLASSES
    yield from _count_faults(path, {'model': num_classes, 'config': names and len(names)})
    count = num_classes or (names and len(names))
    labels: dict[str, int] = {}
    try:
        with open(path, encoding='utf-8') as lines:
            for number, line in enumerate(lines, start=1):
                name, _, text = line.strip().rpartition(' ')
                if not name or not text.removeprefix('-').isdecimal():
                    yield Fault('bad-line', path, f'line {number}: {line.strip()!r:.60}')
                    continue
                image, label = os.path.join(dataset.img_prefix, name), int(text)
                before = labels.get(image)
                labels[image] = label
                if before is not None:
                    detail = f'line {number} of {path} lists it again'
                    kind = 'repeated-file' if label == before else 'two-records'
                    other = '' if label == before else f', with label {label} after {before}'
                    yield Fault(kind, image, detail + other)
                if label < 0 or (count and label >= count):
                    allowed = f'0 to {count - 1}' if count else '0 or more'
                    detail = f'line {number} of {path} has label {label}; allowed: {allowed}'
                    yield Fault('label-range', image, detail)
    except UnicodeDecodeError:
        yield Fault('bad-line', path, encoding_problem(Path(path).read_bytes()))
        return _Labels(labels, Naming(path, ()))
    for label in sorted(set(range(count or 0)) - set(labels.values())):
        name = f', {names[label]!r}' if names and label < len(names) else ''
        yield Fault('empty-class', path, f'no image has label {label}{name}')
    found = Naming(f'the folders of {path}', names_of_folders(labels, dataset.img_prefix))
    return _Labels(labels, found)


def _check_folders(
    dataset: Any, num_classes: int | None, trained: Naming | None
) -> Generator[Fault, None, tuple[_Labels, list[str]]]:
    """Return the labels, and the last classes of training if only their folders lack."""
    from mmpretrain.datasets.custom import find_folders, get_samples

    root, names = dataset.img_prefix, dataset.CLASSES
    folders, label_of = find_folders(root)
    found = Naming(f'the folders of {root}', tuple(folders))
    lacking: list[str] = []
    if names is None and trained and not difference(trained, found, may_lack_last=True):
        lacking = [name for name in trained.names[len(folders) :] if name is not None]
    for name in lacking:  # the labels of the others stay the same
        yield Fault('empty-class', root, f'it has no folder {name!r}, a class of training')
    counts = {
        'model': num_classes,
        'config': names and len(names),
        'data': len(folders) + len(lacking),
    }
    yield from _count_faults(root, counts, surplus(folders, names or ()))
    samples, empty = get_samples(root, label_of, dataset.is_valid_file)
    for folder in sorted(empty):
        yield Fault('empty-class', os.path.join(root, folder), 'it holds no readable image')
    labels = {os.path.join(root, name): label for name, label in samples}
    return _Labels(labels, found), lacking


def _count_faults(path: str, counts: dict[str, int | None], more: str = '') -> Iterator[Fault]:
    known = {owner: count for owner, count in counts.items() if count is not None}
    if len(set(known.values())) > 1:
        detail = ', '.join(f'{owner} has {count}' for owner, count in known.items())
        yield Fault('class-count', path, f'classes: {detail}{more and "; " + more}')
