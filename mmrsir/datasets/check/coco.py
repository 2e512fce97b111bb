"""Check of data sets in COCO's format, as mmdet's ``CocoDataset`` reads them."""

import json
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from .faults import Fault
from .images import inspect_image
from .processes import Inspector
from .records import PARTS, Records, annotation_findings, class_findings, sort_records


def check(dataset: Any, inspector: Inspector, masks: bool) -> Iterator[Fault]:
    """Check annotations and images.

    Args:
        dataset: The ``CocoDataset``, of which nothing is loaded yet.
        inspector: Decodes the images.
        masks: Whether the pipeline uses the segmentations.

    Yields:
        Faults.

    Raises:
        OSError: The annotations cannot be read.
    """
    path, classes = dataset.ann_file, dataset.metainfo['classes']
    try:
        content = json.loads(Path(path).read_bytes())
    except (ValueError, RecursionError) as error:
        yield Fault('bad-json', path, str(error))
        return
    if not isinstance(content, dict):
        content = {}
    missing = [part for part in PARTS if not isinstance(content.get(part), list)]
    if missing:
        yield Fault('bad-json', path, f'it holds no list of {", ".join(missing)}')
        return
    records = sort_records(content)
    for kind, detail in records.findings:
        yield Fault(kind, path, detail)
    for kind, detail in class_findings(records.sound['categories'], classes):
        yield Fault(kind, path, detail)
    for kind, detail in annotation_findings(records, masks):
        yield Fault(kind, path, detail)
    yield from _image_faults(records, dataset.data_prefix['img'], classes, inspector)


def filter_reasons(dataset: Any, num_left: int) -> str:
    """Say for which reasons ``filter_cfg`` leaves out images.

    Args:
        dataset: The ``CocoDataset``, whose ``data_list`` has the images before the filter.
        num_left: Number of images after it.

    Returns:
        The reasons with the numbers of images.
    """
    least = (dataset.filter_cfg or {}).get('min_size', 0)
    num_small = sum(min(image['width'], image['height']) < least for image in dataset.data_list)
    num_empty = len(dataset.data_list) - num_left - num_small
    reasons = {
        f'have a side under min_size={least}': num_small,
        'have no annotation of the classes (filter_empty_gt)': num_empty,
    }
    return ', '.join(f'{count} {reason}' for reason, count in reasons.items() if count)


def _image_faults(
    records: Records, folder: str, classes: list[str], inspector: Inspector
) -> Iterator[Fault]:
    class_ids = {c['id'] for c in records.sound['categories'] if c['name'] in classes}
    annotated = {
        annotation['image_id']
        for annotation in records.sound['annotations']
        if annotation['category_id'] in class_ids
    }
    expected = {}
    for image in records.sound['images']:
        path = os.path.join(folder, image['file_name'])
        expected[path] = (image['width'], image['height'])
        if image['id'] not in annotated:
            yield Fault('no-annotations', path, f'image {image["id"]!r}')
    for inspection in inspector.inspect(inspect_image, list(expected), 'images'):
        yield from inspection.faults
        size, annotated_size = inspection.size, expected[inspection.path]
        if size is not None and size != annotated_size:
            turned = '; swapped, as by EXIF rotation' if size[::-1] == annotated_size else ''
            yield Fault(
                'wrong-size',
                inspection.path,
                f'is loaded as {size[0]} x {size[1]} pixels and annotated as '
                f'{annotated_size[0]} x {annotated_size[1]}{turned}',
            )
