"""COCO's AP for ids of any kind and for images with many objects."""

import json
import logging
from collections import Counter
from collections.abc import Sequence
from importlib.util import find_spec
from pathlib import Path, PureWindowsPath
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
from mmdet.evaluation import CocoMetric
from mmengine.fileio import get
from mmengine.logging import print_log
from mmengine.registry import METRICS
from terminaltables import AsciiTable

from ..datasets.check.coco import first_problem
from ..datasets.check.faults import BOXES_ONLY
from ..datasets.check.masks import form_problem
from ..utils.arguments import check_choice, check_int
from ..utils.errors import InvalidValueError
from ..utils.listing import first_ten
from .coco_figures import PRECISIONS, CocoFigures, recalls
from .coco_truth import CocoTruth, EvaluationError, Record

MAX_DETS = 100  # as COCO counts
PROPOSALS = ('proposal', 'proposal_fast')  # both are fast here


@METRICS.register_module()
class CheckedCocoMetric(CocoMetric):
    """mmdet's ``CocoMetric`` for any ids and many objects, and faster.

    It takes the same arguments and reports the same figures under the same names. The differences:

    - Ids of images, categories and annotations may be of any kind. ``CocoMetric`` gives a wrong AP
      where an annotation has the id 0, and fails where ids are text.
    - ``max_dets`` sets how many detections of an image count.
    - ``classwise`` gives each class its own figures, in whatever order the categories' ids are.
    - An ``ann_file`` of other images is an error. Images that were not tested do not count.
    - Where nothing is detected, AP is 0.
    - faster-coco-eval computes the figures.

    Args:
        ann_file: The annotations; None: the data samples carry them.
        *args: Further arguments of ``CocoMetric``.
        max_dets: How many detections of an image count at most, in all APs; those of the highest
            scores do. None: as in ``CocoMetric``, 100 in mAP and the largest of ``proposal_nums``
            in the others. Where 100 is none of ``proposal_nums``, the largest in mAP too.
        **kwargs: Further arguments of ``CocoMetric``.

    Raises:
        EvaluationError: The package faster-coco-eval is missing.
        TypeError: ``max_dets`` is no integer.
        ValueError: ``max_dets`` is below 1, or one of ``metric_items`` is unknown.
    """

    def __init__(
        self,
        ann_file: str | None = None,
        *args: Any,
        max_dets: int | None = None,
        sort_categories: bool = False,
        **kwargs: Any,
    ) -> None:
        super().__init__(None, *args, **kwargs)
        if find_spec('faster_coco_eval') is None:
            raise EvaluationError(
                'COCO AP needs faster-coco-eval: python -m pip install faster-coco-eval'
            )
        self.recalls = recalls(self.proposal_nums)
        for item in self.metric_items or ():
            check_choice('metric_items', item, (*PRECISIONS, *self.recalls))
        largest = max(self.proposal_nums)
        if max_dets is not None:
            check_int('max_dets', max_dets, 1)
            self.headline = self.limit = max_dets
        else:
            self.headline = MAX_DETS if MAX_DETS in self.proposal_nums else largest
            self.limit = largest
        self.names_absent_classes = True  # unless something else names them beside the metric
        self.ann_file = ann_file
        self._truth: CocoTruth | None = None
        self._content: Record | None = None
        if ann_file is not None:
            self._content = json.loads(get(ann_file, backend_args=self.backend_args))
            if sort_categories:
                self._content['categories'].sort(key=lambda one: one['id'])

    @property
    def dataset_meta(self) -> dict[str, Any] | None:
        return self._dataset_meta

    @dataset_meta.setter
    def dataset_meta(self, meta: dict[str, Any]) -> None:
        # A runner sets it before the training: what is wrong comes out early.
        self._dataset_meta = meta
        if self._content is not None:
            self._set_truth(self._content)

    def process(self, data_batch: dict[str, Any], data_samples: Sequence[dict[str, Any]]) -> None:
        for sample in data_samples:
            problem = self.difference(sample['img_id'], sample.get('img_path') or '')
            if problem:
                raise EvaluationError(problem)
        super().process(data_batch, data_samples)

    def compute_metrics(self, results: list[tuple[Record, Record]]) -> dict[str, float]:
        in_samples, predictions = zip(*results, strict=True)
        truth = self._truth
        if truth is None:
            with TemporaryDirectory() as folder:
                path = self.gt_to_coco_json(in_samples, f'{folder}/truth')
                truth = self._set_truth(json.loads(Path(path).read_bytes()))
        self.cat_ids = truth.category_ids
        if self.outfile_prefix is not None:
            self.results2json(predictions, self.outfile_prefix)
        if self.format_only:
            _say(f'The predictions are in {self.outfile_prefix}.*.json')
            return {}

        self.img_ids = [truth.image_ids[one['img_id']] for one in predictions]
        num_tested = len(set(self.img_ids))
        if num_tested < truth.num_images:
            _warn(
                f'{num_tested} of the {truth.num_images} images of {self.ann_file} were tested; '
                'the others do not count'
            )
        present = {one['category_id'] - 1 for one in truth.annotations()}
        absent = [name for label, name in enumerate(truth.names) if label not in present]
        if absent and self.names_absent_classes:
            source = self.ann_file or 'the data set'
            _warn(f'AP leaves out classes of which {source} has no object: {first_ten(absent)}')
        reported: dict[str, float] = {}
        for metric in self.metrics:
            _say(f'Evaluating {metric}...')
            figures = self._evaluate(metric, predictions)
            _say('\n'.join(['', *figures.summary((*PRECISIONS, *self.recalls))]))
            prefix, items = f'{metric}_', PRECISIONS
            if metric in PROPOSALS:
                prefix, items = '', self.recalls
            elif self.classwise:
                reported |= _each_class(figures, truth.names)
            for item in self.metric_items or items:
                reported[f'{prefix}{item}'] = round(figures.value(item), 3)
        return reported

    def _set_truth(self, content: Record) -> CocoTruth:
        from faster_coco_eval import COCO

        source = self.ann_file or 'the data set'
        try:
            truth = CocoTruth(content, (self.dataset_meta or {})['classes'])
        except (AttributeError, KeyError, TypeError, ValueError) as error:
            if problem := first_problem(content):
                raise EvaluationError(f'{source}: {problem}') from error
            raise
        objects = truth.annotations()
        if 'segm' in self.metrics:
            everything = [*objects, *truth.annotations(is_crowd=True)]
            num_bare = sum(not one.get('segmentation') for one in everything)
            if num_bare:
                raise EvaluationError(
                    f"metric='segm', but {num_bare} of the {len(everything)} objects in {source} "
                    f"have no mask. For boxes alone set metric='bbox', and see {BOXES_ONLY}"
                )
            for one in everything:
                image = truth.image_of(one)
                if problem := form_problem(one['segmentation'], image['width'], image['height']):
                    raise EvaluationError(
                        f'{source}: a mask of {image.get("file_name")} cannot be read: {problem}'
                    )
        self._truth = truth
        self._coco_api = COCO(truth.coco())
        if self.format_only:
            return truth
        counts = Counter(one['image_id'] for one in objects)
        num_full = sum(count > self.headline for count in counts.values())
        if num_full:
            most = max(counts.values())
            _warn(
                f'AP counts {self.headline} detections of an image, but {num_full} of the '
                f'{truth.num_images} images of {source} have more objects, up to {most}: set '
                f'max_dets of the evaluator, and model.test_cfg.rcnn.max_per_img, to {most} or more'
            )
        return truth

    def difference(self, image_id: Any, path: str) -> str:
        """Say how an image differs from that of ``ann_file`` with its id; '' if it does not."""
        if self._content is None or self._truth is None:
            return ''
        record = self._truth.image(image_id)
        name, listed = (
            PureWindowsPath(one or '').name for one in (path, (record or {}).get('file_name'))
        )
        if record is None:
            found = 'has no such image'
        elif name and listed and name != listed:
            found = f'has {record["file_name"]} under this id'
        else:
            return ''
        return (
            f'the data set has the image {path} with the id {image_id!r}, but {self.ann_file} '
            f"{found}: the evaluator's ann_file must be that of its data set"
        )

    def _evaluate(self, metric: str, predictions: Sequence[Record]) -> CocoFigures:
        from faster_coco_eval import COCOeval_faster

        masks = metric == 'segm'
        if masks and 'masks' not in predictions[0]:
            raise InvalidValueError(
                "segm is not in results: the model predicts no masks; set metric='bbox'"
            )
        detections = [
            one
            for image_id, prediction in zip(self.img_ids, predictions, strict=True)
            for one in _detections(image_id, prediction, masks)
        ]
        evaluation = COCOeval_faster(
            self._coco_api,
            self._coco_api.loadRes(detections),
            'segm' if masks else 'bbox',
            print_function=lambda *_, **__: None,
        )
        settings = evaluation.params
        settings.imgIds = self.img_ids
        settings.catIds = list(range(1, len(self.cat_ids) + 1))
        settings.useCats = int(metric not in PROPOSALS)
        settings.iouThrs = np.atleast_1d(self.iou_thrs)
        settings.maxDets = sorted({self.headline, self.limit, *self.proposal_nums})
        evaluation.evaluate()
        evaluation.accumulate()
        return CocoFigures(evaluation, self.headline, self.limit)


def _detections(image_id: int, prediction: Record, masks: bool) -> list[Record]:
    """Return the detections of an image in COCO's format.

    Those of masks have no box: an evaluator would take the area of the box for that of the mask.
    """
    scores = prediction['scores']
    if masks:
        shapes = prediction['masks']
        scores = prediction.get('mask_scores', scores)
    else:
        corners = prediction['bboxes'].astype(np.float64)
        shapes = np.hstack([corners[:, :2], corners[:, 2:] - corners[:, :2]]).tolist()
    key = 'segmentation' if masks else 'bbox'
    return [
        {'image_id': image_id, 'category_id': int(label) + 1, 'score': float(score), key: shape}
        for label, score, shape in zip(prediction['labels'], scores, shapes, strict=True)
    ]


def _each_class(figures: CocoFigures, names: Sequence[str]) -> dict[str, float]:
    reported: dict[str, float] = {}
    rows = [['category', *PRECISIONS]]
    for label, name in enumerate(names):
        values = [figures.value(item, label) for item in PRECISIONS]
        values = [float('nan') if value == -1 else round(value, 3) for value in values]
        reported[f'{name}_precision'] = values[0]
        rows.append([name, *map(str, values)])
    _say('\n' + AsciiTable(rows).table)
    return reported


def _say(message: str) -> None:
    print_log(message, logger='current')


def _warn(message: str) -> None:
    print_log(message, logger='current', level=logging.WARNING)
