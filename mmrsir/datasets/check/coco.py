"""Check of data sets in COCO's format, as mmdet's ``CocoDataset`` reads them."""

import json
import os
from collections.abc import Generator, Iterator
from functools import partial
from itertools import chain
from pathlib import Path
from typing import Any

from ...utils.encoding import encoding_problem
from ..class_names import Naming
from ..loading.reading import Reading
from .content import Content, Findings
from .faults import Fault, Inspection
from .images import check_images, digests
from .masks import mask_finding
from .objects import count_objects, draw_objects, objects_of_images, repeated_images
from .processes import Inspector
from .records import (
    PARTS,
    Finding,
    Records,
    box_finding,
    class_findings,
    reference_findings,
    sort_records,
    unused_findings,
)
from .turned import explain_size, turned_faults

NO_METRIC = 'evaluator.format_only=True with outfile_prefix writes the predictions for a server'


def check(dataset: Any, inspector: Inspector, reading: Reading, masks: bool) -> Findings:
    path, classes = dataset.ann_file, dataset.metainfo['classes']
    data = Path(path).read_bytes()
    problem = encoding_problem(data)
    if problem:
        yield Fault('encoding', path, problem)
    try:
        content = json.loads(data)
    except (ValueError, RecursionError) as error:
        if not problem:
            yield Fault('bad-json', path, str(error))
        return Content()
    if not isinstance(content, dict):
        content = {}
    blind = dataset.test_mode and not content.get('annotations', [])
    if blind:  # as challenges hand out test sets
        yield Fault('no-ground-truth', path, f'it has no annotations; {NO_METRIC}')
        content['annotations'] = []
    missing = [part for part in PARTS if not isinstance(content.get(part), list)]
    if missing:
        yield Fault('bad-json', path, f'it holds no list of {", ".join(missing)}')
        return Content()
    records = sort_records(content)
    findings = chain(
        records.findings,
        class_findings(records.sound['categories'], classes),
        unused_findings(records, classes),
        reference_findings(records),
        _shape_findings(records, masks),
        repeated_images(records),
    )
    for kind, detail in findings:
        yield Fault(kind, path, detail)
    # mmdet's labels count the categories of these names in the order of the file.
    names = [one['name'] for one in records.sound['categories'] if one['name'] in classes]
    counts = count_objects(records, classes)
    for kind, detail in counts.findings():
        if kind != 'empty-class' or set(names) == set(classes):  # those that miss are named above
            yield Fault(kind, path, detail)
    folder = dataset.data_prefix['img']
    pictures = yield from _image_faults(records, folder, classes, inspector, reading, blind)
    found = Naming(path, names) if len(set(names)) == len(names) else None
    return Content(found, counts, digests(pictures), objects_of_images(records, classes))


def filter_reasons(dataset: Any, num_left: int) -> str:
    """Say for which reasons ``filter_cfg`` leaves out images."""
    least = (dataset.filter_cfg or {}).get('min_size', 0)
    num_small = sum(min(image['width'], image['height']) < least for image in dataset.data_list)
    num_empty = len(dataset.data_list) - num_left - num_small
    reasons = {
        f'have a side under min_size={least}': num_small,
        'have no annotation of the classes (filter_empty_gt)': num_empty,
    }
    return ', '.join(f'{count} {reason}' for reason, count in reasons.items() if count)


def _shape_findings(records: Records, masks: bool) -> Iterator[Finding]:
    sizes = {one['id']: (one['width'], one['height']) for one in records.sound['images']}
    findings, num_masks = [], 0
    for annotation in records.sound['annotations']:
        size = sizes.get(annotation['image_id'])
        if size is None or annotation.get('ignore'):  # mmdet ignores it
            continue
        finding = box_finding(annotation, *size)
        if finding is None and masks:
            num_masks += 1
            finding = mask_finding(annotation, *size)
        if finding is not None:
            findings.append((annotation, finding))
    num_bare = sum(kind == 'no-mask' for _, (kind, _) in findings)
    if num_bare and num_bare == num_masks:
        yield 'no-mask', f'none of the {num_masks} objects has a mask'
    for annotation, (kind, detail) in findings:
        if kind != 'no-mask' or num_bare < num_masks:
            name = f'annotation {annotation["id"]!r} of image {annotation["image_id"]!r}'
            yield kind, f'{name}: {detail}'


def _image_faults(
    records: Records,
    folder: str,
    classes: list[str],
    inspector: Inspector,
    reading: Reading,
    blind: bool,
) -> Generator[Fault, None, dict[str, Inspection]]:
    listed = {os.path.join(folder, one['file_name']): one for one in records.sound['images']}
    labels_of = {path: (one, records.of_image[one['id']]) for path, one in listed.items()}
    for image in () if blind else records.empty_images(classes):
        path = os.path.join(folder, image['file_name'])
        yield Fault('no-annotations', path, f'image {image["id"]!r}')
    found = yield from check_images(inspector, list(listed), reading, folder)
    yield from turned_faults(found, partial(draw_objects, labels_of), inspector, reading, folder)
    for inspection in found.values():
        image = listed[inspection.path]
        size, annotated_size = inspection.size, (image['width'], image['height'])
        if size is not None and size != annotated_size:
            turned = explain_size(inspection, annotated_size)
            yield Fault(
                'wrong-size',
                inspection.path,
                f'is loaded as {size[0]} x {size[1]} pixels, but its annotation says '
                f'{annotated_size[0]} x {annotated_size[1]}{turned}',
            )
    return found
