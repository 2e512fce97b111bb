"""Ground truth of a COCO file with ids that an evaluator can count with.

Evaluators use the id of an annotation as a mark, in which 0 means "no match", and keep it as a
number. Ids from 0 then lower AP; text, numbers below 0 and very large ones crash or give an AP of
0. So images and annotations get new ids here, from 1 on, and a category gets its label plus 1.
"""

from collections.abc import Sequence
from typing import Any

from ..utils.errors import UserError

Record = dict[str, Any]


class EvaluationError(UserError, ValueError):
    """Ground truth and predictions do not fit together, or an evaluator cannot use them."""


class CocoTruth:
    """The images of a COCO file, and the annotations of some classes.

    Labels count the categories of these names in the order of the file, as in mmdet's
    ``CocoDataset``. ``image_ids`` are the new ids by the file's.
    """

    def __init__(self, content: Record, classes: Sequence[str]) -> None:
        known = [one for one in content.get('categories', []) if one['name'] in classes]
        self.category_ids = [one['id'] for one in known]
        self.names = [one['name'] for one in known]
        new_category = {identity: label for label, identity in enumerate(self.category_ids, 1)}
        images = content.get('images', [])
        self.image_ids = {one['id']: index for index, one in enumerate(images, 1)}
        self._images = [dict(one, id=index) for index, one in enumerate(images, 1)]
        known = [
            one
            for one in content.get('annotations', [])
            if one['image_id'] in self.image_ids and one['category_id'] in new_category
        ]
        self._annotations = [
            _numbered(
                one,
                id=index,
                image_id=self.image_ids[one['image_id']],
                category_id=new_category[one['category_id']],
            )
            for index, one in enumerate(known, 1)
        ]

    @property
    def num_images(self) -> int:
        return len(self._images)

    def image(self, image_id: Any) -> Record | None:
        index = self.image_ids.get(image_id)
        return None if index is None else self._images[index - 1]

    def image_of(self, annotation: Record) -> Record:
        return self._images[annotation['image_id'] - 1]

    def annotations(self, is_crowd: bool = False) -> list[Record]:
        return [one for one in self._annotations if bool(one['iscrowd']) == is_crowd]

    def coco(self) -> Record:
        """Return a COCO file's content with the new ids; evaluators write into the annotations."""
        categories = [dict(id=i, name=name) for i, name in enumerate(self.names, start=1)]
        return dict(images=self._images, annotations=self._annotations, categories=categories)


def _numbered(annotation: Record, **ids: int) -> Record:
    """Return a copy of an annotation with new ids and with the fields that evaluators need."""
    annotation = {**annotation, **ids, 'iscrowd': int(bool(annotation.get('iscrowd')))}
    if annotation.get('area') is None:
        _, _, width, height = annotation['bbox']
        annotation['area'] = width * height
    return annotation
