"""Check of the data sets that a config trains and tests on."""

import os
from collections.abc import Iterator, Sequence
from contextlib import redirect_stdout
from dataclasses import dataclass, field
from io import StringIO
from typing import Any

from mmengine.config import Config, ConfigDict
from mmengine.registry import DATASETS, init_default_scope

from ...utils.arguments import check_choice
from ...utils.errors import InvalidValueError
from ...utils.missing import nearest
from ..class_counts import ClassCounts
from ..class_names import Naming, declared_names
from ..loading.passed_over import files_of, passed_over
from ..loading.reading import Reading
from ..missing_masks import loads_masks
from . import classification, coco, segmentation
from .across import TRAIN, Part, compare_images, compare_names
from .content import Content, Findings
from .crowding import crowding_faults
from .evaluators import evaluator_faults
from .faults import Fault
from .processes import Inspector
from .settings import (
    below_wrappers,
    ignored_label_problem,
    reading_difference,
    reading_settings,
    zero_label_problem,
    zero_label_setting,
)

SPLITS = ('train', 'val', 'test')
SUPPORTED = ('mmdet.CocoDataset', 'mmseg.BaseSegDataset', 'mmpretrain.CustomDataset')


@dataclass
class Report:
    """What was found of a data set.

    Attributes:
        splits: The splits that it is for.
        name: Its type, and its annotations or folder.
        num_images: Number of its images; None if it could not be loaded.
        num_left: How many of them its ``filter_cfg`` leaves; None likewise.
        filtered: Why it leaves out the others; empty if there are none.
        faults: What is wrong with it.
        counts: How often each of its classes occurs; None if they are not known.
    """

    splits: list[str]
    name: str
    num_images: int | None = None
    num_left: int | None = None
    filtered: str = ''
    faults: list[Fault] = field(default_factory=list)
    counts: ClassCounts | None = None

    @property
    def has_errors(self) -> bool:
        """Whether some of the faults are errors."""
        return any(fault.is_error for fault in self.faults)


def check_config(cfg: Config, splits: Sequence[str] | None, inspector: Inspector) -> list[Report]:
    """Check the data sets of a config, each once, and against one another.

    Args:
        cfg: The config.
        splits: Which to check, of ``SPLITS``; None for all that the config has.
        inspector: Decodes the images.

    Returns:
        A report of each data set.

    Raises:
        ValueError: The config has no such split, or a data set that cannot be built or is of
            another kind.
    """
    present = [split for split in SPLITS if cfg.get(f'{split}_dataloader') is not None]
    for split in splits or ():
        check_choice('split', split, present)
    init_default_scope(cfg.default_scope)
    found: list[tuple[ConfigDict, list[str]]] = []
    for split in splits or present:
        for settings in below_wrappers(cfg[f'{split}_dataloader'].dataset):
            names = next((names for known, names in found if known == settings), None)
            if names is None:
                found.append((settings, [split]))
            elif split not in names:
                names.append(split)
    head = cfg.get('model', {}).get('head')
    num_classes = head.get('num_classes') if isinstance(head, dict) else None
    parts: list[_Part] = []
    for settings, names in found:
        trained = next((part.content.found for part in parts if part.is_trained_on), None)
        parts.append(
            _check_alone(_build(settings), settings, names, num_classes, trained, inspector)
        )
    used = {path for part in parts for path in files_of(part.dataset.data_list)}
    readings = [reading_settings(part.dataset, part.settings) for part in parts]
    usual = next((r for r, part in zip(readings, parts, strict=True) if part.is_trained_on), {})
    for part, reading in zip(parts, readings, strict=True):
        report, source = part.report, part.source
        report.faults += crowding_faults(cfg, part.splits, source, part.content.objects)
        for split in part.splits:
            if split != TRAIN and _kind(part.dataset) == 'mmdet.CocoDataset':
                report.faults += evaluator_faults(cfg.get(f'{split}_evaluator'), part.dataset)
        if hasattr(part.dataset, 'reduce_zero_label'):
            said = zero_label_problem(
                zero_label_setting(part.settings), part.dataset.reduce_zero_label
            )
            if said:
                report.faults.append(Fault('zero-setting', source, said))
        left_out = passed_over(part.dataset, used, listed=splits is None)
        if left_out and report.num_images is not None:
            report.faults.append(Fault('passed-over', source, left_out))
        said = reading_difference(usual, reading)
        if said and not part.is_trained_on:
            report.faults.append(Fault('other-reading', source, said))
    for part, fault in [*compare_names(parts), *compare_images(parts)]:
        part.report.faults.append(fault)
    problem = ignored_label_problem(cfg)
    if problem:
        parts[0].report.faults.append(Fault('ignore-index', parts[0].source, problem[1]))
    return [part.report for part in parts]


@dataclass(frozen=True, eq=False)
class _Part(Part):
    """A data set that is built, its settings, and what is reported of it."""

    dataset: Any
    settings: ConfigDict
    report: Report


def _check_alone(
    dataset: Any,
    settings: ConfigDict,
    splits: list[str],
    num_classes: int | None,
    trained: Naming | None,
    inspector: Inspector,
) -> _Part:
    source = dataset.ann_file or next(iter(dataset.data_prefix.values()))
    report = Report(splits, f'{type(dataset).__name__} {source}')
    report.faults += _missing(dataset)
    content = Content()
    if not report.faults:
        try:
            content = _collect(_check(dataset, settings, num_classes, trained, inspector), report)
        except OSError as error:
            report.faults.append(Fault('unreadable', error.filename or source, str(error)))
        _load(dataset, source, report)
    report.counts = content.counts
    declared = declared_names(dataset, source)
    if declared is not None:
        declared = declared._replace(place=f'the config ({", ".join(splits)})')
    return _Part(splits, source, declared, content, dataset, settings, report)


def _collect(findings: Findings, report: Report) -> Content:
    """Put the faults of a check into a report, and return what the data set holds."""
    while True:
        try:
            report.faults.append(next(findings))
        except StopIteration as end:
            content: Content = end.value
            return content


def _build(settings: ConfigDict) -> Any:
    """Build a data set that has loaded nothing."""
    try:
        dataset = DATASETS.build(dict(settings, lazy_init=True, pipeline=[]))
    except Exception as error:  # it is up to the data set what it raises
        raise InvalidValueError(
            f'the data set {settings.get("type")} cannot be built: {error}'
        ) from error
    if _kind(dataset) is None:
        raise InvalidValueError(
            f'data sets of type {settings.type} cannot be checked; allowed: '
            f'{", ".join(SUPPORTED)} and types that read the same files'
        )
    return dataset


def _kind(dataset: Any) -> str | None:
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


def _missing(dataset: Any) -> Iterator[Fault]:
    path = dataset.ann_file
    if path and not os.path.isfile(path):
        yield Fault('missing-file', path, f'does not exist{nearest(path)}')
    for folder in dataset.data_prefix.values():
        if folder and not os.path.isdir(folder):
            yield Fault('missing-folder', folder, f'does not exist{nearest(folder)}')


def _check(
    dataset: Any,
    settings: ConfigDict,
    num_classes: int | None,
    trained: Naming | None,
    inspector: Inspector,
) -> Findings:
    kind = _kind(dataset)
    reading = Reading.of(settings) or Reading()
    if kind == 'mmdet.CocoDataset':
        return coco.check(dataset, inspector, reading, masks=loads_masks(settings))
    if kind == 'mmseg.BaseSegDataset':
        return segmentation.check(dataset, inspector, reading)
    return classification.check(dataset, inspector, reading, num_classes, trained)


def _load(dataset: Any, source: str, report: Report) -> None:
    """Load a data set as for training and count its images."""
    try:
        with redirect_stdout(StringIO()):  # pycocotools prints
            dataset.data_list = dataset.load_data_list()
            left = dataset.filter_data()
    except Exception as error:  # it is up to the data set what it raises
        if not report.has_errors:
            detail = f'{type(error).__name__}: {error}'
            report.faults.append(Fault('unloadable', source, detail))
        return
    report.num_images, report.num_left = len(dataset.data_list), len(left)
    if report.num_left < report.num_images:
        report.filtered = f'after filter_cfg={dict(dataset.filter_cfg or {})}'
        if _kind(dataset) == 'mmdet.CocoDataset':
            report.filtered += f': {coco.filter_reasons(dataset, len(left))}'
    if not left:
        detail = f'0 of {report.num_images} images left {report.filtered}'.strip()
        if 'under min_size' in report.filtered:
            detail += '. Lower min_size in filter_cfg to train on small images'
        report.faults.append(Fault('no-images', source, detail))
