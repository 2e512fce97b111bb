"""Check that models and evaluators count as many objects of an image as there are."""

from collections.abc import Iterator, Sequence
from typing import Any

from mmengine.config import Config

from .faults import Fault
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


def crowding_faults(
    cfg: Config, splits: Sequence[str], source: str, objects: Sequence[int]
) -> Iterator[Fault]:
    limits = {name: limit for name in _OF_MODEL if (limit := _setting(cfg, name)) is not None}
    for split in splits:
        for one in as_list(cfg.get(f'{split}_evaluator')):
            if isinstance(one, dict) and one.get('type') in _COCO_METRICS:
                limits[f'{split}_evaluator.max_dets'] = _counted(one)
    most = max(objects, default=0)
    low = {name: limit for name, limit in limits.items() if isinstance(limit, int) and limit < most}
    if low:
        least = min(low.values())
        number = sum(count > least for count in objects)
        settings = ', '.join(f'{name} (now {limit})' for name, limit in low.items())
        yield Fault(
            'many-objects',
            source,
            f'{number} of {len(objects)} images have more than {least} objects, up to {most}. '
            f'Set to {most} or more: {settings}',
        )


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
