"""Check of data sets in COCO's format, as mmdet's ``CocoDataset`` reads them."""

import json
import os
from collections import Counter
from collections.abc import Collection, Iterator
from functools import partial
from pathlib import Path
from typing import Any

from ...utils.encoding import encoding_problem
from ...utils.listing import first_ten
from ...utils.settings import type_name, walk_settings
from ..class_names import Naming, spread
from .findings import Report
from .images import check_images
from .masks import draw_objects, form_problem, mask_finding
from .processes import Inspector
from .records import (
    PARTS,
    Finding,
    Record,
    Records,
    box_finding,
    class_findings,
    count_objects,
    is_outside,
    reference_findings,
    repeated_images,
    sort_records,
    unused_findings,
)
from .turned import check_turned, explain_size


def check(report: Report, inspector: Inspector | None) -> None:
    """Check annotations and, with an inspector, images."""
    records = read(report, loads_masks(report.settings))
    if records is None:
        return
    path, classes = report.dataset.ann_file, report.dataset.metainfo.get('classes', ())
    # mmdet's labels count the categories of these names in the order of the file.
    names = [one['name'] for one in records.sound['categories'] if one['name'] in classes]
    counts, report.objects = count_objects(records, classes)
    report.counts = None if report.is_blind else counts
    for kind, detail in counts.findings():
        if kind != 'empty-class' or set(names) == set(classes):  # those that miss are named above
            report.add(kind, path, detail)
    for image in () if report.is_blind else records.empty_images(classes):
        place = os.path.join(report.dataset.data_prefix['img'], image['file_name'])
        report.add('no-annotations', place, f'image {image["id"]!r}')
    if inspector is not None:
        _check_images(report, records, inspector)
    if len(set(names)) == len(names):
        report.found = Naming(path, names)


def read_json(report: Report) -> Any:
    """Read the annotations, and add to the report why they cannot be read; None then."""
    path = report.dataset.ann_file
    data = Path(path).read_bytes()
    problem = encoding_problem(data)
    if problem:
        report.add('encoding', path, problem)
    try:
        return json.loads(data)
    except (ValueError, RecursionError) as error:
        if not problem:
            report.add('bad-json', path, str(error))
        return None


def read(report: Report, masks: bool, most: int | None = None) -> Records | None:
    """Read the annotations, and add to the report what is wrong with each.

    ``masks`` says whether a training loads masks. Of more than ``most`` annotations so many are
    looked at, evenly spread.
    """
    path, classes = report.dataset.ann_file, report.dataset.metainfo.get('classes', ())
    content = read_json(report)
    if content is None:
        return None
    if 'img' not in report.dataset.data_prefix:
        problem = "data_prefix must name the folder of the images, such as img='train/'"
        report.add('missing-folder', path, problem)
        return None
    report.is_blind = (
        report.dataset.test_mode and isinstance(content, dict) and not content.get('annotations')
    )
    if report.is_blind:  # as challenges hand out test sets
        report.add('no-ground-truth', path, 'it has no annotations')
        content['annotations'] = []
    problem = _form_problem(content)
    if problem:
        report.add('bad-json', path, problem)
        return None
    annotations = content['annotations']
    if most is not None and len(annotations) > most:
        report.is_sample = True
        content['annotations'] = [annotations[i] for i in spread(len(annotations), most)]
    records = sort_records(content)
    for kind, detail in (
        *records.findings,
        *class_findings(records.sound['categories'], classes),
        *unused_findings(records, classes),
        *reference_findings(records),
        *_shape_findings(records, classes if masks else ()),
        *(() if report.is_sample else repeated_images(records)),  # it compares all objects
    ):
        report.add(kind, path, detail)
    return records


def loads_masks(settings: Any) -> bool:
    """Return whether a transform loads the masks of objects; panoptic ones are in label maps."""
    others = 'LoadPanopticAnnotations', 'LoadEmptyAnnotations'
    return any(
        one.get('with_mask') and type_name(one) not in others for one in walk_settings(settings)
    )


def fatal_kinds(report: Report, records: Records) -> set[str]:
    """Return the kinds of faults with which a training would end, or mean nothing.

    mmdet leaves out boxes without an area, polygons of too few points, and annotations of images
    that are not listed. A few boxes or masks outside of their images do not matter either, nor do
    boxes of whole objects of which the image shows the larger part.
    """
    objects = records.sound['annotations']
    number = Counter(fault.kind for fault in report.faults)
    fatal = {'no-mask', 'bad-rle'}
    outside = sum(is_outside(one['bbox'], *size) for one, size in _shapes(records))
    fatal |= {
        kind
        for kind, count in (('bad-box', outside), ('mask-box', number['mask-box']))
        if 2 * count > len(objects)
    }
    listed = records.ids['images']
    as_text = set(map(str, listed))
    strangers = [one['image_id'] for one in objects if one['image_id'] not in listed]
    if len(strangers) == len(objects) or any(str(one) in as_text for one in strangers):
        fatal.add('dangling-image')
    if number['bad-polygon'] and any(
        _is_unreadable(one.get('segmentation'), *size) for one, size in _shapes(records)
    ):
        fatal.add('bad-polygon')
    return fatal


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
    if problem := _form_problem(content):
        return problem
    records = sort_records(content)
    shapes = [one for one in _shape_findings(records) if one[0] != 'left-out']
    findings = [*records.findings, *shapes, *reference_findings(records)]
    more = f' ({len(findings) - 1} more)' if len(findings) > 1 else ''
    return f'{findings[0][1]}{more}' if findings else ''


def _form_problem(content: Any) -> str:
    if not isinstance(content, dict):
        return f'it holds a {type(content).__name__}, not images, categories and annotations'
    absent = [part for part in PARTS if not isinstance(content.get(part), list)]
    return f'it has no list of {" and ".join(absent)}' if absent else ''


def _shape_findings(records: Records, masked: Collection[str] = ()) -> Iterator[Finding]:
    """Check boxes, and masks of the objects of some classes."""
    names = {one['id']: one['name'] for one in records.sound['categories']}
    findings, num_masks = [], 0
    for annotation, size in _shapes(records):
        finding = box_finding(annotation, *size)
        if finding is None and names.get(annotation['category_id']) in masked:
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


def _shapes(records: Records) -> Iterator[tuple[Record, tuple[float, float]]]:
    """Yield the annotations that mmdet reads, each with the size of its image."""
    for image in records.sound['images']:
        for one in records.of_image[image['id']]:
            if not one.get('ignore'):
                yield one, (image['width'], image['height'])


def _is_unreadable(mask: Any, width: float, height: float) -> bool:
    """Return whether mmdet ends with an error, as it does not with polygons of too few points."""
    polygons = [one for one in mask if one != []] if isinstance(mask, list) else mask
    return bool(polygons) and form_problem(polygons, width, height) != ''


def _check_images(report: Report, records: Records, inspector: Inspector) -> None:
    folder = report.dataset.data_prefix['img']
    listed = {os.path.join(folder, one['file_name']): one for one in records.sound['images']}
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
