"""Check of data sets in COCO's format, as mmdet's ``CocoDataset`` reads them."""

import json
import os
from collections.abc import Iterator
from functools import partial
from itertools import chain
from pathlib import Path
from typing import Any

from ...utils.encoding import encoding_problem
from ...utils.listing import first_ten
from ..class_names import Naming
from ..missing_masks import loads_masks
from .findings import Report
from .images import check_images
from .masks import mask_finding
from .objects import count_objects, draw_objects, repeated_images
from .processes import Inspector
from .records import (
    PARTS,
    Finding,
    Record,
    Records,
    box_finding,
    class_findings,
    reference_findings,
    sort_records,
    unused_findings,
)
from .turned import check_turned, explain_size


def check(report: Report, inspector: Inspector) -> None:
    path, classes = report.dataset.ann_file, report.dataset.metainfo['classes']
    data = Path(path).read_bytes()
    problem = encoding_problem(data)
    if problem:
        report.add('encoding', path, problem)
    try:
        content = json.loads(data)
    except (ValueError, RecursionError) as error:
        if not problem:
            report.add('bad-json', path, str(error))
        return
    if not isinstance(content, dict):
        content = {}
    blind = report.dataset.test_mode and not content.get('annotations', [])
    if blind:  # as challenges hand out test sets
        report.add('no-ground-truth', path, 'it has no annotations')
        content['annotations'] = []
    missing = [part for part in PARTS if not isinstance(content.get(part), list)]
    if missing:
        report.add('bad-json', path, f'it holds no list of {", ".join(missing)}')
        return
    records = sort_records(content)
    findings = chain(
        records.findings,
        class_findings(records.sound['categories'], classes),
        unused_findings(records, classes),
        reference_findings(records),
        _shape_findings(records, loads_masks(report.settings)),
        repeated_images(records),
    )
    for kind, detail in findings:
        report.add(kind, path, detail)
    # mmdet's labels count the categories of these names in the order of the file.
    names = [one['name'] for one in records.sound['categories'] if one['name'] in classes]
    counts, report.objects = count_objects(records, classes)
    report.counts = None if blind else counts
    for kind, detail in counts.findings():
        if kind != 'empty-class' or set(names) == set(classes):  # those that miss are named above
            report.add(kind, path, detail)
    _check_images(report, records, [] if blind else records.empty_images(classes), inspector)
    if len(set(names)) == len(names):
        report.found = Naming(path, names)


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


def first_problem(content: Any) -> str:
    """Name what is wrong with the content of a COCO file, for one line; '' if nothing is."""
    if not isinstance(content, dict):
        return f'it holds a {type(content).__name__}, not images, categories and annotations'
    if absent := [part for part in PARTS if not isinstance(content.get(part), list)]:
        return f'it has no list of {" and ".join(absent)}'
    records = sort_records(content)
    shapes = [one for one in _shape_findings(records, masks=False) if one[0] != 'left-out']
    findings = [*records.findings, *shapes, *reference_findings(records)]
    more = f' ({len(findings) - 1} more)' if len(findings) > 1 else ''
    return f'{findings[0][1]}{more}' if findings else ''


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
    bare = [repr(annotation['id']) for annotation, (kind, _) in findings if kind == 'no-mask']
    if bare and len(bare) == num_masks:
        yield 'no-mask', f'none of the {num_masks} objects has a mask'
    elif bare:
        what_to_do = f'draw the masks of these annotations, or delete them: {first_ten(bare)}'
        yield 'no-mask', f'{len(bare)} of {num_masks} objects have no mask: {what_to_do}'
    for annotation, (kind, detail) in findings:
        if kind != 'no-mask':
            name = f'annotation {annotation["id"]!r} of image {annotation["image_id"]!r}'
            yield kind, f'{name}: {detail}'


def _check_images(
    report: Report, records: Records, empty: list[Record], inspector: Inspector
) -> None:
    folder = report.dataset.data_prefix['img']
    listed = {os.path.join(folder, one['file_name']): one for one in records.sound['images']}
    for image in empty:
        path = os.path.join(folder, image['file_name'])
        report.add('no-annotations', path, f'image {image["id"]!r}')
    found = check_images(report, inspector, list(listed), folder)
    labels_of = {path: (one, records.of_image[one['id']]) for path, one in listed.items()}
    check_turned(report, inspector, found, partial(draw_objects, labels_of), folder)
    for path, inspection in found.items():
        size, annotated = inspection.size, (listed[path]['width'], listed[path]['height'])
        if size is not None and size != annotated:
            detail = (
                f'is loaded as {size[0]} x {size[1]} pixels, but its annotation says '
                f'{annotated[0]} x {annotated[1]}{explain_size(inspection, annotated)}'
            )
            report.add('wrong-size', path, detail)
