"""Gathering results while a model is tested."""

from collections.abc import Sequence
from typing import Any, NamedTuple

from mmengine.hooks import Hook
from mmengine.runner import Runner

from ...engine.scopes import class_names
from ...utils.errors import UserError
from .tasks import Task


class Rated(NamedTuple):
    """A data sample and how well the model does on it."""

    score: float
    sample: Any


class ResultsHook(Hook):
    """Gathers what is taken for what, and the worst images. For a test by a single process."""

    def __init__(self, task: Task, num_worst: int) -> None:
        self.task = task
        self.num_worst = num_worst
        self.classes: list[str] = []
        self.matrix: Any = 0  # confusion matrix of all images
        self.worst: list[Rated] = []  # the worst first

    def before_test_epoch(self, runner: Runner) -> None:
        classes = class_names(runner.test_dataloader.dataset)
        if classes is None:
            raise UserError('the data set has no class names: set its metainfo=dict(classes=(…))')
        self.classes = [str(name) for name in classes]

    def after_test_iter(
        self,
        runner: Runner,
        batch_idx: int,
        data_batch: Any = None,
        outputs: Sequence[Any] | None = None,
    ) -> None:
        for sample in outputs or ():
            if len(sample.get('pred_label', ())) > 1 or len(sample.get('gt_label', ())) > 1:
                raise UserError(
                    'the data has several labels an image, and this compares one: tools/test.py '
                    'with MultiLabelMetric(average=None) reports each class'
                )
            matrix = self.task.count(sample, len(self.classes))
            self.matrix = self.matrix + matrix
            score = self.task.rate(sample, matrix)
            if len(self.worst) < self.num_worst or score < self.worst[-1].score:
                kept = sample.new()
                kept.pop('seg_logits', None)  # hundreds of megabytes, which are not drawn
                rated = [*self.worst, Rated(score, kept.cpu())]
                self.worst = sorted(rated, key=lambda one: one.score)[: self.num_worst]

    def after_test_epoch(self, runner: Runner, metrics: dict[str, float] | None = None) -> None:
        if not self.matrix[: len(self.classes)].sum():
            raise UserError('no image of the test has ground truth: there is nothing to compare')
