"""Whether a data set has the masks that its pipeline loads."""

from typing import Any

from ..utils.errors import UserError
from .check.faults import BOXES_ONLY
from .class_counts import MOST_RECORDS
from .class_names import leaves
from .loading.reading import walk_settings


class MissingMasksError(UserError, ValueError):
    """Objects of a data set have no mask, and its pipeline loads masks."""


def loads_masks(settings: Any) -> bool:
    return any(one.get('with_mask') for one in walk_settings(settings))


def check_masks(settings: Any, dataset: Any, name: str) -> None:
    """Refuse a data set, which was built from settings, whose objects have no masks to load.

    At most some thousand images, spread over each part of it, are looked at.
    """
    for part in leaves(dataset) if loads_masks(settings) else ():
        step = max(1, -(-len(part) // MOST_RECORDS))
        records = (part.get_data_info(index) for index in range(0, len(part), step))
        objects = [one for record in records for one in record.get('instances') or ()]
        num_bare = sum('mask' not in one for one in objects)
        if num_bare:
            raise MissingMasksError(
                f'{name}: {num_bare} of {len(objects)} objects in {part.ann_file} have no mask, '
                'and the pipeline loads masks (with_mask=True). For boxes alone train Faster '
                f'R-CNN, see {BOXES_ONLY}'
            )
