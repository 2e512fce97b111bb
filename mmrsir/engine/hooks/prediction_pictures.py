"""Pictures of predictions while a model is trained."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import mmcv
from mmengine.dist import is_main_process
from mmengine.hooks import Hook
from mmengine.registry import HOOKS
from mmengine.runner import Runner

from ...utils.arguments import check_int
from ...visualization.samples import PREDICTION_PREFIX, draw_sample
from .run_report import errors_logged


@HOOKS.register_module()
class PredictionPicturesHook(Hook):
    """Draws, at each validation, what is predicted for the same few images beside their truth.

    The pictures go to all backends of the visualizer. The libraries' own hooks, once they draw,
    take other images at each validation, and all images of every test.

    Args:
        number: Pictures of a validation, evenly spread over its batches; 0 for none.
        score_thr: Objects of a lower score are left out.

    Raises:
        TypeError: ``number`` is not an integer.
        ValueError: It is negative.
    """

    def __init__(self, number: int = 4, score_thr: float = 0.3) -> None:
        check_int('number', number, minimum=0)
        self.number = number
        self.score_thr = score_thr
        self._batches: set[int] = set()

    def before_val_epoch(self, runner: Runner) -> None:
        """Choose the batches whose first image is drawn."""
        batches = len(runner.val_dataloader)
        self._batches = {index * batches // self.number for index in range(self.number)}

    def after_val_iter(
        self,
        runner: Runner,
        batch_idx: int,
        data_batch: Any = None,
        outputs: Sequence[Any] | None = None,
    ) -> None:
        """Draw the first image of a chosen batch."""
        if batch_idx not in self._batches or not outputs or not is_main_process():
            return
        with errors_logged(runner, 'a prediction could not be drawn'):
            path = outputs[0].img_path
            draw_sample(
                runner.visualizer,
                mmcv.imread(path, channel_order='rgb'),
                outputs[0],
                name=f'{PREDICTION_PREFIX}{batch_idx}_{Path(path).stem}',
                step=runner.iter,
                score_thr=self.score_thr,
            )
