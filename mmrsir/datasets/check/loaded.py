"""Checks of the data sets that a run loads: of their files, without a look at images."""

import logging
import os
from collections.abc import Collection
from typing import Any

from mmengine.dist import broadcast_object_list, is_main_process
from mmengine.logging import print_log

from ...utils.errors import InvalidValueError, UserError
from ...utils.settings import below_wrappers
from ..class_counts import MOST_RECORDS
from ..class_names import leaves, spread
from ..loading.image_files import files_of, passed_over
from . import coco
from .configs import COCO, build, examine, is_elsewhere, kind_of_files, load
from .faults import BOXES_ONLY, Fault
from .findings import Report, summary

MOST_ANNOTATIONS = 200_000  # that are looked at before a training: it takes some seconds
LONG_TO_READ = 50e6  # bytes; the file of COCO's training images takes a quarter of a minute
_MORE = 'tools/misc/check_dataset.py says more'
_ALL = f'that is of {MOST_ANNOTATIONS:,} annotations; tools/misc/check_dataset.py looks at all'


class DatasetError(UserError, ValueError):
    """A data set cannot be loaded, or results on it would mean nothing."""


def explain(settings: Any, name: str, cause: Exception | None = None) -> None:
    """Raise an error that says why a data set has no images or cannot be loaded, if files tell.

    ``name`` is that of the data loader, such as ``'train_dataloader'``.
    """
    for part in below_wrappers(settings):
        if not isinstance(part, dict):  # it is built already
            continue
        try:
            report = Report(build(part), part, [])
        except InvalidValueError:  # the library has said it in its own words
            continue
        if is_elsewhere(report):  # the files cannot be looked at
            load(report)
        else:
            examine(report)
        if cause is not None and report.num_left:  # it is about another part
            continue
        _refuse([fault for fault in report.faults if fault.is_error], name, cause)
        if isinstance(cause, KeyError) and report.source.endswith('.json'):
            raise DatasetError(f'{name}: {report.source}: a record has no {cause}') from cause


def check_objects(settings: Any, dataset: Any, name: str) -> None:
    """Refuse objects with which a training ends or results mean nothing; warn of other errors.

    Of a data set that was built from settings, at most ``MOST_ANNOTATIONS`` objects are looked at.
    Of several processes one looks, for the memory's sake; all raise the error.
    """
    failure: Exception | None = None
    if is_main_process():
        try:
            _check_objects(settings, dataset, name)
        except Exception as error:  # of any kind, or the other processes would wait
            failure = error
    problem = [None if failure is None else str(failure)]  # not all errors can be sent
    broadcast_object_list(problem)
    if failure is not None:
        raise failure
    if problem[0] is not None:
        raise DatasetError(problem[0])


def warn_of_unread_images(dataset: Any, name: str) -> None:
    """Warn of images in the folders of data sets that list the files of folders."""
    for part in leaves(dataset) if is_main_process() else ():
        used = None
        if hasattr(part, 'img_suffix') and hasattr(part, 'seg_map_suffix'):
            used = {*files_of(map(part.get_data_info, range(len(part))))}
        elif not hasattr(part, 'extensions'):
            continue
        if unread := passed_over(part, used, listed=False):
            print_log(f'{name}: {unread}', logger='current', level=logging.WARNING)


def _check_objects(settings: Any, dataset: Any, name: str) -> None:
    for part, loaded in zip(below_wrappers(settings), leaves(dataset), strict=False):
        masks = coco.loads_masks(part)
        if kind_of_files(loaded) == COCO and os.path.isfile(loaded.ann_file):
            if os.path.getsize(loaded.ann_file) > LONG_TO_READ:
                print_log(f'{name}: checking {loaded.ann_file}', logger='current')
            report = Report(loaded, part, [])
            records = coco.read(report, masks, MOST_ANNOTATIONS)
            errors = [fault for fault in report.faults if fault.is_error]
            fatal: Collection[str] = ()
            if records and errors:
                fatal = coco.fatal_kinds(report, records)
            more = _ALL if report.is_sample else _MORE
            _refuse([fault for fault in errors if fault.kind in fatal], name, more=more)
            for line in summary(errors):
                print_log(f'{name}: {line}; {more}', logger='current', level=logging.WARNING)
        elif masks:
            _check_masks(loaded, name)


def _check_masks(dataset: Any, name: str) -> None:
    """Refuse objects of a data set in another format than COCO's of which some have no mask."""
    number = bare = 0
    for index in spread(len(dataset), MOST_RECORDS):
        objects = dataset.get_data_info(index).get('instances') or ()
        number += len(objects)
        bare += sum('mask' not in one for one in objects)
    if bare:
        raise DatasetError(
            f'{name}: {bare} of {number} objects in {dataset.ann_file} have no mask, and the '
            'pipeline loads masks (with_mask=True). For boxes alone train Faster R-CNN, see '
            f'{BOXES_ONLY}'
        )


def _refuse(
    faults: list[Fault], name: str, cause: Exception | None = None, more: str = _MORE
) -> None:
    if faults:
        raise DatasetError(f'{name}: {"; ".join(summary(faults))}; {more}') from cause
