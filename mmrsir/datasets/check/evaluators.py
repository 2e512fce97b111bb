"""Check that evaluators read the annotations of a data set, and count as many objects as it has."""

import json
import os
from pathlib import Path
from typing import Any

from mmengine.config import Config

from ...utils.listing import first_ten
from ..class_names import Naming, difference
from .findings import TRAIN, Report
from .settings import as_list

# Where a detector limits its detections of an image.
_OF_MODEL = (
    'model.test_cfg.max_per_img',
    'model.test_cfg.rpn.max_per_img',
    'model.test_cfg.rcnn.max_per_img',
    'tta_model.tta_cfg.max_per_img',
)
_COCO_METRICS = ('CocoMetric', 'CheckedCocoMetric')
_COCO_LIMIT = 100
_READ = 'the evaluator reads this file, the data set reads'


def check_evaluators(cfg: Config, report: Report) -> None:
    used = report.dataset.ann_file
    for split in report.splits:
        for evaluator in as_list(cfg.get(f'{split}_evaluator')):
            path = evaluator.get('ann_file') if isinstance(evaluator, dict) else None
            if split == TRAIN or not path or not used or not os.path.isfile(used):
                continue
            if not os.path.isfile(path):
                report.add('missing-file', path, 'does not exist; the evaluator reads it')
            elif not os.path.samefile(path, used) and (said := _difference(path, report.dataset)):
                report.add('evaluator-file', path, f'{_READ} {used}: {said}')


def _difference(path: str, dataset: Any) -> str | None:
    try:
        own, other = (json.loads(Path(one).read_bytes()) for one in (dataset.ann_file, path))
        classes = dataset.metainfo['classes']
        first, second = (
            Naming(place, [one['name'] for one in content['categories'] if one['name'] in classes])
            for place, content in ((dataset.ann_file, own), (path, other))
        )
        files = [
            {image['id']: image['file_name'] for image in content['images']}
            for content in (own, other)
        ]
    except (KeyError, OSError, TypeError, ValueError) as error:
        return f'it is no COCO file: {type(error).__name__}: {error}'
    said = difference(first, second)
    if said is not None or files[0] == files[1]:
        return said
    only = [sorted(set(one.values()) - set(two.values())) for one, two in (files, files[::-1])]
    if not any(only):
        return 'the same images have other ids'
    return '; '.join(
        f'{len(names)} images are only in the {place}: {first_ten(names)}'
        for place, names in zip(("data set's file", "evaluator's file"), only, strict=True)
        if names
    )


def check_limits(cfg: Config, report: Report) -> None:
    """Compare the numbers of objects with those that models find and evaluators count."""
    limits = {name: limit for name in _OF_MODEL if (limit := _setting(cfg, name)) is not None}
    for split in report.splits:
        for one in as_list(cfg.get(f'{split}_evaluator')):
            if isinstance(one, dict) and one.get('type') in _COCO_METRICS:
                limits[f'{split}_evaluator.max_dets'] = _counted(one)
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


def _setting(cfg: Config, name: str) -> Any:
    found: Any = cfg
    for key in name.split('.'):
        if not isinstance(found, (dict, Config)):
            return None
        found = found.get(key)
    return found


def _counted(evaluator: dict[str, Any]) -> int:
    """Return how many detections of an image AP counts."""
    if evaluator.get('max_dets') is not None:
        return evaluator['max_dets']
    proposals = evaluator.get('proposal_nums') or [_COCO_LIMIT]
    return _COCO_LIMIT if _COCO_LIMIT in proposals else max(proposals)
