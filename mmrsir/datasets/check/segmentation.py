"""Check of images with label maps, as mmseg's ``BaseSegDataset`` reads them."""

from collections import Counter
from collections.abc import Mapping
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from ..class_counts import ClassCounts
from ..class_names import new_labels
from ..loading.headers import open_image
from .findings import Report
from .images import check_images, inspect_label_map
from .processes import Inspector
from .turned import check_turned, explain_size


def check(report: Report, inspector: Inspector) -> None:
    dataset, prefix = report.dataset, report.dataset.data_prefix
    samples = dataset.load_data_list()
    map_of = {sample['img_path']: sample.get('seg_map_path') for sample in samples}
    for path, times in Counter(sample['img_path'] for sample in samples).items():
        if times > 1:
            report.add('repeated-file', path, f'{dataset.ann_file} has it {times} times')
    folder = prefix.get('img_path') or ''
    found = check_images(report, inspector, list(map_of), folder)
    pictures = {map_of[path]: inspection for path, inspection in found.items()}
    check_turned(report, inspector, found, partial(_read_map, map_of), folder)
    maps = [path for path in map_of.values() if path is not None]
    classes = dataset.metainfo.get('classes')
    counts = ClassCounts.empty(classes or (), 'pixels')
    inspect_map = partial(inspect_label_map, labels=_labels(dataset))
    for inspection in inspector.inspect(inspect_map, maps, 'label maps'):
        report.faults += inspection.faults
        size, image_size = inspection.size, pictures[inspection.path].size
        if size and image_size and size != image_size:
            detail = f'is {size[0]} x {size[1]} pixels, its image {image_size[0]} x {image_size[1]}'
            detail += explain_size(pictures[inspection.path], size)
            report.add('wrong-size', inspection.path, detail)
        if inspection.values is not None:
            _add(counts, inspection.values, dataset)
    if classes:
        counts.total, counts.reduces_zero = counts.num_images, bool(dataset.reduce_zero_label)
        report.counts = counts
        _check_classes(report, counts, prefix.get('seg_map_path') or '')


def _read_map(map_of: Mapping[str, str | None], path: str) -> Any:
    label_map = map_of[path]
    return None if label_map is None else np.asarray(open_image(Path(label_map).read_bytes()))


def _add(counts: ClassCounts, values: dict[int, int], dataset: Any) -> None:
    pixels: Counter[int] = Counter()
    new_label = new_labels(dataset.reduce_zero_label, dataset.label_map)
    for value, number in values.items():
        label = int(new_label[value & 255])  # as 8 bits
        label = -1 if label == dataset.ignore_index else label
        pixels[label] += number
        if not 0 <= label < len(counts.names):
            counts.ignored_values[value] = counts.ignored_values.get(value, 0) + number
    counts.add_pixels(pixels)


def _check_classes(report: Report, counts: ClassCounts, place: str) -> None:
    findings = list(counts.findings())
    last, num_zeros = len(counts.names) - 1, counts.ignored_values.get(0)
    if (
        counts.reduces_zero
        and report.dataset.label_map is None
        and num_zeros
        and last not in counts.occurring
        and (last == 0 or last - 1 in counts.occurring)
    ):
        share = num_zeros / (counts.ignored_pixels + sum(counts.columns['pixels']))
        report.add(
            'zero-label',
            place,
            f'0, which is ignored, fills {share:.1%} of the pixels, and no pixel is {last + 1}, '
            f'which would be {counts.names[last]!r}. If 0 is {counts.names[0]!r}, set '
            'reduce_zero_label=False',
        )
        if len(counts.occurring) == last:  # then this one says the same
            findings = [one for one in findings if one[0] != 'empty-class']
    for kind, detail in findings:
        report.add(kind, place, detail)


def _labels(dataset: Any) -> frozenset[int] | None:
    """The labels that a label map may have; None where the classes are not known."""
    # Where the config takes some of the classes, label maps still have all.
    known = dataset.label_map or dataset.metainfo.get('classes')
    if known is None:
        return None
    count = len(known) + bool(dataset.reduce_zero_label)  # 0 is ignored then, classes follow
    return frozenset({*range(count), dataset.ignore_index})
