"""Check of the data sets that a config trains and tests on."""

import os
from collections.abc import Sequence
from contextlib import redirect_stdout
from io import StringIO
from typing import Any

from mmengine.config import Config, ConfigDict
from mmengine.registry import DATASETS, init_default_scope

from ...utils.arguments import check_choice
from ...utils.errors import InvalidValueError
from ...utils.listing import first_ten
from ...utils.missing import nearest
from ...utils.settings import below_wrappers, walk_settings
from ..class_names import Naming, declared_names
from ..loading.image_files import files_of, passed_over
from . import classification, coco, segmentation
from .across import compare_images, compare_names
from .findings import TRAIN, Report
from .processes import Inspector
from .settings import (
    check_evaluators,
    check_limits,
    check_readings,
    ignored_label_problem,
)

SPLITS = (TRAIN, 'val', 'test')
COCO = 'mmdet.CocoDataset'
SUPPORTED = (COCO, 'mmseg.BaseSegDataset', 'mmpretrain.CustomDataset')


def check_config(cfg: Config, splits: Sequence[str] | None, inspector: Inspector) -> list[Report]:
    """Check the data sets of a config, each once, and against one another.

    ``splits`` are those to check, of ``SPLITS``; None for all that the config has.
    """
    present = [split for split in SPLITS if cfg.get(f'{split}_dataloader') is not None]
    for split in splits or ():
        check_choice('split', split, present)
    init_default_scope(cfg.default_scope)
    reports: list[Report] = []
    for split in splits or present:
        for settings in below_wrappers(cfg[f'{split}_dataloader'].dataset):
            report = next((one for one in reports if one.settings == settings), None)
            if report is None:
                dataset = build(settings)
                if kind_of_files(dataset) is None:
                    raise InvalidValueError(
                        f'data sets of type {settings.type} cannot be checked; allowed: '
                        f'{", ".join(SUPPORTED)} and types that read the same files'
                    )
                report = Report(dataset, settings, [split])
                if is_elsewhere(report):
                    raise InvalidValueError(
                        f'{report.source}: only files in folders of this machine can be checked, '
                        'not those of another backend of backend_args, or of an address'
                    )
                reports.append(report)
            elif split not in report.splits:
                report.splits.append(split)
    head = cfg.get('model', {}).get('head')
    num_classes = head.get('num_classes') if isinstance(head, dict) else None
    for report in reports:
        trained = next((one.found for one in reports if one.is_trained_on), None)
        examine(report, inspector, num_classes, trained)
        declared_in = f'the config ({", ".join(report.splits)})'
        report.declared = declared_names(report.dataset, declared_in)
    used = {path for report in reports for path in files_of(report.dataset.data_list)}
    for report in reports:
        check_limits(cfg, report)
        if kind_of_files(report.dataset) == COCO:
            check_evaluators(cfg, report)
        left_out = passed_over(report.dataset, used, listed=splits is None)
        if left_out and report.num_images is not None:
            report.add('passed-over', report.source, left_out)
    check_readings(reports)
    compare_names(reports)
    compare_images(reports)
    if problem := ignored_label_problem(cfg):
        reports[0].add('ignore-index', reports[0].source, problem[1])
    return reports


def examine(
    report: Report,
    inspector: Inspector | None = None,
    num_classes: int | None = None,
    trained: Naming | None = None,
) -> None:
    """Check a data set by itself: its files, and with an inspector its images too."""
    _check_paths(report)
    if report.faults:
        return
    kind = kind_of_files(report.dataset)
    try:
        if kind == COCO:
            coco.check(report, inspector)
        elif kind == 'mmseg.BaseSegDataset' and inspector is not None:
            segmentation.check(report, inspector)
        elif kind == 'mmpretrain.CustomDataset':
            classification.check(report, inspector, num_classes, trained)
        elif report.source.endswith('.json'):
            coco.read_json(report)
    except OSError as error:
        report.add('unreadable', error.filename or report.source, str(error))
    load(report)


def build(settings: ConfigDict) -> Any:
    """Build a data set that has loaded nothing."""
    try:
        return DATASETS.build(dict(settings, lazy_init=True, pipeline=[]))
    except Exception as error:  # it is up to the data set what it raises
        raise InvalidValueError(
            f'the data set {settings.get("type")} cannot be built: {error}'
        ) from error


def is_elsewhere(report: Report) -> bool:
    """Return whether files of a data set are not in folders of this machine."""
    storages = [one.get('backend_args') or {} for one in walk_settings(report.settings)]
    paths = [report.dataset.ann_file, *report.dataset.data_prefix.values()]
    return any(one.get('backend', 'local') != 'local' for one in storages) or any(
        '://' in str(path) for path in paths
    )


def kind_of_files(dataset: Any) -> str | None:
    """The type of SUPPORTED whose files a data set reads."""
    for base in type(dataset).__mro__:
        library = base.__module__.partition('.')[0]
        if f'{library}.{base.__name__}' in SUPPORTED:
            return f'{library}.{base.__name__}'
        if library == 'mmrsir':  # ours list files more widely, in the same layout
            continue
        if vars(base).keys() & {'load_data_list', 'parse_data_info'}:  # it reads them otherwise
            return None
    return None


def _check_paths(report: Report) -> None:
    path = report.dataset.ann_file
    if path and not os.path.isfile(path):
        report.add('missing-file', path, f'does not exist{nearest(path)}')
    for folder in report.dataset.data_prefix.values():
        if folder and not os.path.isdir(folder):
            report.add('missing-folder', folder, f'does not exist{nearest(folder)}')


def load(report: Report) -> None:
    """Load a data set as for training and count its images."""
    dataset = report.dataset
    kind = kind_of_files(dataset)
    try:
        with redirect_stdout(StringIO()):  # pycocotools prints
            dataset.data_list = dataset.load_data_list()
            left = dataset.filter_data()
    except Exception as error:  # it is up to the data set what it raises
        if not report.has_errors and kind is not None:  # others say it in their own words
            report.add('unloadable', report.source, f'{type(error).__name__}: {error}')
        return
    report.num_images, report.num_left = len(dataset.data_list), len(left)
    if report.num_left < report.num_images:
        report.filtered = f'after filter_cfg={dict(dataset.filter_cfg or {})}'
        if kind == COCO:
            report.filtered += f': {coco.filter_reasons(dataset, len(left))}'
    if not left:
        detail = f'0 of {report.num_images} images left {report.filtered}'.strip()
        if 'under min_size' in report.filtered:
            detail += '. Lower min_size in filter_cfg to train on small images'
        elif kind is None and report.num_images:
            names = dataset.metainfo.get('classes') or ['none']
            detail += f', with the classes {first_ten([*map(repr, names)])}'
        report.add('no-images', report.source, detail)
