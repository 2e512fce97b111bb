"""Pictures of predictions, while a model is trained and while it is tested."""

import os
from collections import Counter
from pathlib import Path
from typing import Any

from mmengine.dist import is_main_process
from mmengine.hooks import Hook
from mmengine.registry import HOOKS
from mmengine.runner import Runner

from ...datasets.loading.reading import Reading
from ...utils.arguments import check_int
from ...visualization.backbone import read_picture
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
    """

    def __init__(self, number: int = 4, score_thr: float = 0.3) -> None:
        check_int('number', number, minimum=0)
        self.number = number
        self.score_thr = score_thr
        self._batches: set[int] = set()

    def before_val_epoch(self, runner: Runner) -> None:
        self._reading = Reading.of_config(runner.cfg)
        batches = len(runner.val_dataloader)
        self._batches = {index * batches // self.number for index in range(self.number)}

    def after_val_iter(
        self, runner: Runner, batch_idx: int, data_batch: Any = None, outputs: Any = None
    ) -> None:
        if batch_idx not in self._batches or not outputs or not is_main_process():
            return
        with errors_logged(runner, 'a prediction could not be drawn'):
            name = f'{PREDICTION_PREFIX}{batch_idx}_{Path(outputs[0].img_path).stem}'
            shown = dict(name=name, step=runner.iter, score_thr=self.score_thr)
            _draw(runner, outputs[0], self._reading, **shown)


class TestPicturesHook(Hook):
    """Draws what is predicted for each image of a test, beside the truth, into one folder.

    The libraries' own hooks put pictures into three different places.
    """

    def __init__(self, out_dir: str | Path, score_thr: float = 0.3) -> None:
        self.out_dir = Path(out_dir)
        self.score_thr = score_thr
        self._names: dict[str, str] = {}

    def before_test_epoch(self, runner: Runner) -> None:
        self._names = picture_names(runner.test_dataloader.dataset)
        self._reading = Reading.of_config(runner.cfg)

    def after_test_iter(
        self, runner: Runner, batch_idx: int, data_batch: Any = None, outputs: Any = None
    ) -> None:
        for sample in outputs or ():
            out_file = self.out_dir / self._names[sample.img_path]
            _draw(runner, sample, self._reading, out_file=out_file, score_thr=self.score_thr)


def _draw(runner: Runner, sample: Any, reading: Reading, **settings: Any) -> None:
    picture = read_picture(sample.img_path, reading=reading)
    draw_sample(runner.visualizer, picture, sample, **settings)


def picture_names(dataset: Any) -> dict[str, str]:
    """Return a file name for the picture of each image of a data set, all of them different.

    Folders below the common one become a part of the name: ``cat_1.jpg`` is of ``cat/1.png``.
    """
    samples = map(dataset.get_data_info, range(len(dataset)))
    paths = list(dict.fromkeys(sample['img_path'] for sample in samples))
    root = os.path.commonpath([os.path.dirname(path) for path in paths]) if paths else ''
    flat = {path: os.path.relpath(path, root or None).replace(os.sep, '_') for path in paths}
    stems = Counter(Path(name).stem for name in flat.values())
    return {
        path: f'{name if stems[Path(name).stem] > 1 else Path(name).stem}.jpg'
        for path, name in flat.items()
    }
