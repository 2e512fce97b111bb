"""Check that an evaluator compares predictions with the annotations of the data set itself."""

import json
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from ...utils.listing import first_ten
from ..class_names import Naming, difference
from .faults import Fault
from .settings import as_list

_READ = 'the evaluator reads this file, the data set reads'


def evaluator_faults(evaluators: Any, dataset: Any) -> Iterator[Fault]:
    """Compare the files of evaluators with that of a data set."""
    for evaluator in as_list(evaluators):
        path = evaluator.get('ann_file') if isinstance(evaluator, dict) else None
        if not path or not dataset.ann_file or not os.path.isfile(dataset.ann_file):
            continue
        if not os.path.isfile(path):
            yield Fault('missing-file', path, 'does not exist; the evaluator reads it')
        elif not os.path.samefile(path, dataset.ann_file):
            said = _difference(path, dataset)
            if said is not None:
                yield Fault('evaluator-file', path, f'{_READ} {dataset.ann_file}: {said}')


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
