"""Whether a data set has the masks that its pipeline loads, in a form that can be read."""

from typing import Any

import numpy as np

from ..utils.errors import UserError
from .check.faults import BOXES_ONLY
from .check.masks import form_problem
from .class_counts import MOST_RECORDS
from .class_names import leaves
from .loading.reading import walk_settings


class MissingMasksError(UserError, ValueError):
    """Objects of a data set have no mask that can be read, and its pipeline loads masks."""


def loads_masks(settings: Any) -> bool:
    """Return whether a transform loads the masks of objects; panoptic ones are in label maps."""
    return any(
        one.get('with_mask') and 'Panoptic' not in str(one.get('type'))
        for one in walk_settings(settings)
    )


def check_masks(settings: Any, dataset: Any, name: str) -> None:
    """Refuse a data set, which was built from settings, whose objects have no sound masks to load.

    At most some thousand images, spread over each part of it, are looked at.
    """
    for part in leaves(dataset) if loads_masks(settings) else ():
        step = max(1, -(-len(part) // MOST_RECORDS))
        num_objects, num_bare, problems = 0, 0, []
        for index in range(0, len(part), step):
            record = part.get_data_info(index)
            for one in record.get('instances') or ():
                num_objects += 1
                num_bare += 'mask' not in one
                size = record.get('width'), record.get('height')
                problem = '' if None in size else _problem(one.get('mask'), *size)
                if problem:
                    problems.append(f'{record["img_path"]}: {problem}')
        if num_bare:
            raise MissingMasksError(
                f'{name}: {num_bare} of {num_objects} objects in {part.ann_file} have no mask, '
                'and the pipeline loads masks (with_mask=True). For boxes alone train Faster '
                f'R-CNN, see {BOXES_ONLY}'
            )
        if problems:
            raise MissingMasksError(
                f'{name}: {len(problems)} of {num_objects} masks in {part.ann_file} cannot be '
                f'read. {problems[0]}'
            )


def _problem(mask: Any, width: float, height: float) -> str:
    """Say why mmdet cannot read a mask; it leaves empty polygons out.

    Arrays and the like come from data sets of other projects, whose transforms read them.
    """
    if isinstance(mask, list):
        mask = [one for one in mask if not isinstance(one, list) or one]
        if not mask or isinstance(mask[0], (tuple, np.ndarray)):
            return ''
    return form_problem(mask, width, height) if isinstance(mask, (dict, list, str)) else ''
