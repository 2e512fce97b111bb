"""Settings of a config that must agree with others, or with the data."""

import json
import os
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path, PureWindowsPath
from typing import Any

from mmengine.config import Config

from ...utils.listing import first_ten
from ...utils.settings import as_list, below_wrappers, transforms_of, type_name
from ..class_names import Naming, difference
from .findings import TRAIN, Report

_IGNORED = 255  # by default, in all of mmseg
_HEADS = ('decode_head', 'auxiliary_head')
# Where a detector limits its detections of an image.
_OF_MODEL = (
    'model.test_cfg.max_per_img',
    'model.test_cfg.rpn.max_per_img',
    'model.test_cfg.rcnn.max_per_img',
    'tta_model.tta_cfg.max_per_img',
)
_COCO_METRICS = ('CocoMetric', 'CheckedCocoMetric')
_COCO_LIMIT = 100


def ignored_label_problem(cfg: Mapping[str, Any]) -> tuple[str, str] | None:
    """Return a setting of a segmentor that ignores another label than the rest, and all values."""
    settings: dict[Any, list[str]] = {}
    for name, label in _ignored_labels(cfg):
        if label is not None:  # as masked losses want it
            settings.setdefault(label, []).append(name)
    if len(settings) < 2:
        return None
    rare = min(settings.values(), key=len)[0]
    said = '; '.join(f'{label} in {", ".join(names)}' for label, names in settings.items())
    return rare, f'{said}. Set all to the value that label maps have where there is no class'


def _ignored_labels(cfg: Mapping[str, Any]) -> Iterator[tuple[str, Any]]:
    if cfg.get('default_scope') != 'mmseg':
        return
    model = cfg.get('model') or {}
    for name in _HEADS:
        for head in as_list(model.get(name)):
            yield f'model.{name}.ignore_index', head.get('ignore_index', _IGNORED)
    preprocessor = model.get('data_preprocessor') or {}
    if preprocessor.get('size') or preprocessor.get('size_divisor'):
        yield 'model.data_preprocessor.seg_pad_val', preprocessor.get('seg_pad_val', _IGNORED)
    for split in ('train', 'val', 'test'):
        loader = cfg.get(f'{split}_dataloader')
        for dataset in below_wrappers(loader['dataset']) if isinstance(loader, dict) else ():
            if isinstance(dataset, dict):  # else it is built already
                name = f'{split}_dataloader.dataset.ignore_index'
                yield name, dataset.get('ignore_index', _IGNORED)
        for one in as_list(cfg.get(f'{split}_evaluator')):
            if type_name(one) == 'IoUMetric':
                yield f'{split}_evaluator.ignore_index', one.get('ignore_index', _IGNORED)


def zero_label_problem(of_transform: bool | None, of_dataset: bool) -> str:
    """Say that ``LoadAnnotations`` and its data set treat 0 differently; empty if they do not."""
    if of_transform is None or bool(of_transform) == bool(of_dataset):
        return ''
    return (
        f'LoadAnnotations has reduce_zero_label={of_transform}, its data set {of_dataset}. Delete '
        'the first, and give the data set True if 0 in the label maps stands for no class, or '
        'False if 0 is the first class'
    )


def check_readings(reports: Sequence[Report]) -> None:
    """Compare how data sets read images and labels: with their transforms, and with training."""
    trained = next((_reading(one) for one in reports if one.is_trained_on), {})
    for report in reports:
        dataset = report.dataset
        transforms = transforms_of(report.settings.get('pipeline'), 'LoadAnnotations')
        given = (one.get('reduce_zero_label') for one in transforms)
        of_transform = next((one for one in given if one is not None), None)
        if hasattr(dataset, 'reduce_zero_label') and (
            said := zero_label_problem(of_transform, dataset.reduce_zero_label)
        ):
            report.add('zero-setting', report.source, said)
        differ = [
            f'{name} is {trained[name]!r} in train, {value!r} here'
            for name, value in _reading(report).items()
            if name in trained and trained[name] != value
        ]
        if differ and not report.is_trained_on:
            report.add('other-reading', report.source, '; '.join(differ))


def _reading(report: Report) -> dict[str, Any]:
    """Return how a data set reads images and labels, by the name of each setting."""
    pipeline, reading = report.settings.get('pipeline'), report.reading
    found: dict[str, Any] = {
        'color_type': reading.color_type,
        'imdecode_backend': reading.backend,
        'value_range': reading.value_range,
        'to_rgb of Normalize': None,
    }
    for transform in transforms_of(pipeline, 'Normalize'):
        found['to_rgb of Normalize'] = transform.get('to_rgb', True)
    if hasattr(report.dataset, 'reduce_zero_label'):
        found['reduce_zero_label'] = bool(report.dataset.reduce_zero_label)
        found['label_map'] = report.dataset.label_map
        backends = [
            one.get('imdecode_backend') for one in transforms_of(pipeline, 'LoadAnnotations')
        ]
        found['imdecode_backend of LoadAnnotations'] = next(filter(None, backends), 'pillow')
    return found


def check_evaluators(cfg: Config, report: Report) -> None:
    """Check that evaluators know the images and classes of a COCO data set; they may know more."""
    used = report.dataset.ann_file
    for split in report.splits:
        for evaluator in as_list(cfg.get(f'{split}_evaluator')):
            path = evaluator.get('ann_file') if isinstance(evaluator, dict) else None
            if split == TRAIN or not path or not used or not os.path.isfile(used):
                continue
            if not os.path.isfile(path):
                report.add('missing-file', path, 'does not exist; the evaluator reads it')
            elif not os.path.samefile(path, used) and (said := _difference(path, report.dataset)):
                said = f'the evaluator reads this file, the data set reads {used}: {said}'
                report.add('evaluator-file', path, said)


def _difference(path: str, dataset: Any) -> str | None:
    try:
        own, other = (json.loads(Path(one).read_bytes()) for one in (dataset.ann_file, path))
        first, second = (
            Naming(place, [one['name'] for one in content['categories'] if one['name'] in classes])
            for classes in [dataset.metainfo['classes']]
            for place, content in ((dataset.ann_file, own), (path, other))
        )
        # Windows separates folders by both kinds of slashes.
        listed = {one['id']: PureWindowsPath(one['file_name']).name for one in other['images']}
        strangers = [
            one['file_name']
            for one in own['images']
            if listed.get(one['id']) != PureWindowsPath(one['file_name']).name
        ]
    except (KeyError, OSError, TypeError, ValueError) as error:
        return f'it is no COCO file: {type(error).__name__}: {error}'
    if said := difference(first, second):
        return said
    if strangers:
        total = len(own['images'])
        return f'{len(strangers)} of {total} images have other ids or none: {first_ten(strangers)}'
    return None


def check_limits(cfg: Config, report: Report) -> None:
    """Compare the numbers of objects with those that models find and evaluators count."""
    limits = {}
    for name in _OF_MODEL:
        found: Any = cfg
        for key in name.split('.'):
            found = found.get(key) if isinstance(found, (dict, Config)) else None
        limits[name] = found
    for split in report.splits:
        for one in as_list(cfg.get(f'{split}_evaluator')):
            if isinstance(one, dict) and type_name(one) in _COCO_METRICS:
                proposals = one.get('proposal_nums') or [_COCO_LIMIT]
                counted = _COCO_LIMIT if _COCO_LIMIT in proposals else max(proposals)
                limits[f'{split}_evaluator.max_dets'] = one.get('max_dets') or counted
    most = max(report.objects, default=0)
    low = {name: limit for name, limit in limits.items() if isinstance(limit, int) and limit < most}
    if low:
        least = min(low.values())
        number = sum(count > least for count in report.objects)
        settings = ', '.join(f'{name} (now {limit})' for name, limit in low.items())
        detail = (
            f'{number} of {len(report.objects)} images have more than {least} objects, up to '
            f'{most}. Set to {most} or more: {settings}'
        )
        report.add('many-objects', report.source, detail)
