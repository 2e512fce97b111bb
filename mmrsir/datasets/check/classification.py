"""Check of lists and class folders of images, as mmpretrain's ``CustomDataset`` reads them."""

import os
from collections.abc import Sequence
from pathlib import Path

from ...utils.encoding import encoding_problem
from ..class_counts import ClassCounts
from ..class_names import Naming, difference, names_of_folders, surplus
from ..loading.image_files import split_line
from .findings import Report
from .images import check_images
from .processes import Inspector

Labels = dict[str, int]  # by the paths of images


def check(
    report: Report, inspector: Inspector | None, num_classes: int | None, trained: Naming | None
) -> None:
    """Check labels and, with an inspector, images; ``trained`` has the classes of training."""
    dataset = report.dataset
    if dataset.with_label:
        if dataset.ann_file:
            labels, report.found = _check_list(report, num_classes)
            names = dataset.CLASSES
        else:
            labels, report.found, names = _check_folders(report, num_classes, trained)
        _count(report, labels, report.found.names, names, num_classes)
        paths = list(labels)
    else:
        paths = [sample['img_path'] for sample in dataset.load_data_list()]
    if inspector is not None:
        check_images(report, inspector, paths, dataset.img_prefix)


def _count(
    report: Report,
    labels: Labels,
    found: Sequence[str | None],
    names: Sequence[str] | None,
    num_classes: int | None,
) -> None:
    # Where a folder does not tell the name of a label, its number stands for it.
    called = [name or str(label) for label, name in enumerate(found)]
    called += map(str, range(len(found), num_classes or 0))
    known = range(len(called))
    report.labels = {path: called[label] for path, label in labels.items() if label in known}
    report.counts = ClassCounts.empty(names or called, 'images')
    for label in labels.values():
        report.counts.add_labels([label])
    report.counts.total = report.counts.num_images
    for kind, detail in report.counts.findings():
        if kind != 'empty-class':  # found already, with what was looked for
            report.add(kind, report.source, detail)


def _check_list(report: Report, num_classes: int | None) -> tuple[Labels, Naming]:
    path, names = report.dataset.ann_file, report.dataset.CLASSES
    _check_counts(report, {'model': num_classes, 'config': names and len(names)})
    count = num_classes or len(names or ())
    labels: Labels = {}
    try:
        with open(path, encoding='utf-8') as lines:
            for number, line in enumerate(lines, start=1):
                name, label = split_line(line)
                if label is None:
                    if name:
                        report.add('bad-line', path, f'line {number}: {line.strip()!r:.60}')
                    continue
                image = os.path.join(report.dataset.img_prefix, name)
                before = labels.get(image, label)
                detail = f'line {number} of {path} lists it again'
                if before != label:
                    report.add('two-records', image, f'{detail}, with label {label} after {before}')
                elif image in labels:
                    report.add('repeated-file', image, detail)
                labels[image] = label
                if label < 0 or (count and label >= count):
                    allowed = f'0 to {count - 1}' if count else '0 or more'
                    detail = f'line {number} of {path} has label {label}; allowed: {allowed}'
                    report.add('label-range', image, detail)
    except UnicodeDecodeError:
        report.add('bad-line', path, encoding_problem(Path(path).read_bytes()))
        return labels, Naming(path, ())
    for label in sorted(set(range(count)) - set(labels.values())):
        name = f', {names[label]!r}' if names and label < len(names) else ''
        report.add('empty-class', path, f'no image has label {label}{name}')
    folders = names_of_folders(labels, report.dataset.img_prefix)
    return labels, Naming(f'the folders of {path}', folders)


def _check_folders(
    report: Report, num_classes: int | None, trained: Naming | None
) -> tuple[Labels, Naming, Sequence[str] | None]:
    """Return the labels, the folders, and the classes of the config, or else of training."""
    from mmpretrain.datasets.custom import find_folders, get_samples

    root, names = report.dataset.img_prefix, report.dataset.CLASSES
    folders, label_of = find_folders(root)
    found = Naming(f'the folders of {root}', tuple(folders))
    lacking: list[str] = []
    if names is None and trained and not difference(trained, found, may_lack_last=True):
        lacking = [name for name in trained.names[len(folders) :] if name is not None]
    for name in lacking:  # the labels of the others stay the same
        report.add('empty-class', root, f'it has no folder {name!r}, a class of training')
    counts = {
        'model': num_classes,
        'config': names and len(names),
        'data': len(folders) + len(lacking),
    }
    _check_counts(report, counts, surplus(folders, names or ()))
    samples, empty = get_samples(root, label_of, report.dataset.is_valid_file)
    for folder in sorted(empty):
        report.add('empty-class', os.path.join(root, folder), 'it holds no readable image')
    labels = {os.path.join(root, name): label for name, label in samples}
    return labels, found, [*folders, *lacking] if lacking else names


def _check_counts(report: Report, counts: dict[str, int | None], more: str = '') -> None:
    known = {owner: count for owner, count in counts.items() if count is not None}
    if len(set(known.values())) > 1:
        detail = ', '.join(f'{owner} has {count}' for owner, count in known.items())
        report.add('class-count', report.source, f'classes: {detail}{more and "; " + more}')
