"""Check of images with label maps, as mmseg's ``BaseSegDataset`` reads them."""

from collections import Counter
from collections.abc import Iterator, Mapping
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from ..class_counts import ClassCounts
from ..loading.headers import open_image
from ..loading.reading import Reading
from .content import Content, Findings
from .faults import Fault
from .images import check_images, digests, inspect_label_map
from .processes import Inspector
from .turned import explain_size, turned_faults


def check(dataset: Any, inspector: Inspector, reading: Reading) -> Findings:
    samples = dataset.load_data_list()
    map_of = {sample['img_path']: sample.get('seg_map_path') for sample in samples}
    listed = Counter(sample['img_path'] for sample in samples)
    for path, times in listed.items():
        if times > 1:
            yield Fault('repeated-file', path, f'{dataset.ann_file} has it {times} times')
    folder = dataset.data_prefix.get('img_path') or ''
    found = yield from check_images(inspector, list(map_of), reading, folder)
    pictures = {map_of[path]: inspection for path, inspection in found.items()}
    yield from turned_faults(found, partial(_read_map, map_of), inspector, reading, folder)
    maps = [path for path in map_of.values() if path is not None]
    classes = dataset.metainfo.get('classes')
    counts = classes and ClassCounts.empty(classes, 'pixels', 'pixels')
    inspect_map = partial(inspect_label_map, labels=_labels(dataset))
    for inspection in inspector.inspect(inspect_map, maps, 'label maps'):
        yield from inspection.faults
        size, image_size = inspection.size, pictures[inspection.path].size
        if size and image_size and size != image_size:
            detail = f'is {size[0]} x {size[1]} pixels, its image {image_size[0]} x {image_size[1]}'
            detail += explain_size(pictures[inspection.path], size)
            yield Fault('wrong-size', inspection.path, detail)
        if counts and inspection.values is not None:
            _add(counts, inspection.values, dataset)
    place = dataset.data_prefix.get('seg_map_path') or ''
    if counts:
        counts.total, counts.reduces_zero = counts.num_images, bool(dataset.reduce_zero_label)
        yield from _class_faults(counts, dataset, place)
    return Content(None, counts or None, digests(found))


def _read_map(map_of: Mapping[str, str | None], path: str) -> Any:
    label_map = map_of[path]
    return None if label_map is None else np.asarray(open_image(Path(label_map).read_bytes()))


def _add(counts: ClassCounts, values: dict[int, int], dataset: Any) -> None:
    pixels: Counter[int] = Counter()
    for value, number in values.items():
        label = _label(value, dataset)
        pixels[label] += number
        if not 0 <= label < len(counts.names):
            counts.ignored_values[value] = counts.ignored_values.get(value, 0) + number
    counts.add_pixels(pixels)


def _class_faults(counts: ClassCounts, dataset: Any, place: str) -> Iterator[Fault]:
    last = len(counts.names) - 1
    if (
        dataset.reduce_zero_label
        and dataset.label_map is None
        and counts.ignored_values.get(0)
        and last not in counts.occurring
        and (last == 0 or last - 1 in counts.occurring)
    ):
        share = counts.ignored_values[0] / (counts.ignored_pixels + sum(counts.columns['pixels']))
        yield Fault(
            'zero-label',
            place,
            f'0, which is ignored, fills {share:.1%} of the pixels, and {last + 1}, which would be '
            f'{counts.names[last]!r}, none; if 0 is {counts.names[0]!r}: reduce_zero_label=False',
        )
    for kind, detail in counts.findings():
        yield Fault(kind, place, detail)


def _label(value: int, dataset: Any) -> int:
    """Return the label that mmseg's ``LoadAnnotations`` makes of a value; -1 if it is ignored."""
    label = value & 255  # as 8 bits
    if dataset.reduce_zero_label:
        label = 255 if label in (0, 255) else label - 1
    if dataset.label_map is not None:
        label = dataset.label_map.get(label, label)
    return -1 if label == dataset.ignore_index else label


def _labels(dataset: Any) -> frozenset[int] | None:
    """The labels that a label map may have; None where the classes are not known."""
    # Where the config takes some of the classes, label maps still have all.
    known = dataset.label_map or dataset.metainfo.get('classes')
    if known is None:
        return None
    count = len(known) + bool(dataset.reduce_zero_label)  # 0 is ignored then, classes follow
    return frozenset({*range(count), dataset.ignore_index})
