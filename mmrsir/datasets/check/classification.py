"""Check of lists and class folders of images, as mmpretrain's ``CustomDataset`` reads them."""

import os
from collections.abc import Generator, Iterator
from typing import Any

from .faults import Fault
from .images import inspect_image
from .processes import Inspector

# What a reader of labels yields, and returns: the label of each image by its path.
_Labels = Generator[Fault, None, dict[str, int]]


def check(dataset: Any, inspector: Inspector, num_classes: int | None) -> Iterator[Fault]:
    """Check labels and images.

    Args:
        dataset: The ``CustomDataset``, of which nothing is loaded yet.
        inspector: Decodes the images.
        num_classes: Number of classes of the model; None if it is not known.

    Yields:
        Faults.

    Raises:
        OSError: The list or a folder cannot be read.
    """
    if not dataset.with_label:
        paths = [sample['img_path'] for sample in dataset.load_data_list()]
    elif dataset.ann_file:
        paths = list((yield from _check_list(dataset, num_classes)))
    else:
        paths = list((yield from _check_folders(dataset, num_classes)))
    for inspection in inspector.inspect(inspect_image, paths, 'images'):
        yield from inspection.faults


def _check_list(dataset: Any, num_classes: int | None) -> _Labels:
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
                labels[image] = label
                if label < 0 or (count and label >= count):
                    allowed = f'0 to {count - 1}' if count else '0 or more'
                    detail = f'line {number} of {path} has label {label}; allowed: {allowed}'
                    yield Fault('label-range', image, detail)
    except UnicodeDecodeError as error:
        yield Fault('bad-line', path, str(error))
        return labels
    for label in sorted(set(range(count or 0)) - set(labels.values())):
        yield Fault('empty-class', path, f'no image has label {label}')
    return labels


def _check_folders(dataset: Any, num_classes: int | None) -> _Labels:
    from mmpretrain.datasets.custom import find_folders, get_samples

    root, names = dataset.img_prefix, dataset.CLASSES
    folders, label_of = find_folders(root)
    counts = {'model': num_classes, 'config': names and len(names), 'data': len(folders)}
    yield from _count_faults(root, counts)
    samples, empty = get_samples(root, label_of, dataset.is_valid_file)
    for folder in sorted(empty):
        suffixes = ', '.join(sorted(dataset.extensions))
        yield Fault('empty-class', os.path.join(root, folder), f'no file with {suffixes}')
    return {os.path.join(root, name): label for name, label in samples}


def _count_faults(path: str, counts: dict[str, int | None]) -> Iterator[Fault]:
    known = {owner: count for owner, count in counts.items() if count is not None}
    if len(set(known.values())) > 1:
        detail = ', '.join(f'{owner} has {count}' for owner, count in known.items())
        yield Fault('class-count', path, f'classes: {detail}')
