"""What an exported file reaches on the config's test data, and how long it takes."""

import time
from contextlib import redirect_stdout
from io import StringIO
from pathlib import Path
from statistics import median
from typing import Any, NamedTuple

import torch
from mmengine.config import Config
from mmengine.evaluator import Evaluator
from mmengine.registry import init_default_scope
from mmengine.runner import Runner
from mmengine.structures import InstanceData
from torch import Tensor

from ..apis import Predictor
from ..utils.errors import InvalidValueError
from ..visualization.backbone import read_picture
from .export import onnx_runner

HEADLINES = ('coco/bbox_mAP', 'coco/segm_mAP', 'mIoU', 'accuracy/top1')


class Measured(NamedTuple):
    """Accuracies of a file on test data by name, and the median time of an image."""

    figures: dict[str, float]
    milliseconds: float
    images: int


def measure(predictor: Predictor, cfg: Config, path: str | Path, number: int) -> Measured:
    """Test an ONNX file of a whole model on the first images of the test data, with this CPU.

    The model's preprocessing is used; the data sets are those of ``cfg``.
    """
    init_default_scope(cfg.default_scope)
    run = onnx_runner(path)
    settings = cfg.test_dataloader.copy()
    settings.update(batch_size=1, num_workers=0, persistent_workers=False)
    with redirect_stdout(StringIO()):  # pycocotools tells what it does
        loader: Any = Runner.build_dataloader(settings, seed=0)
        evaluator = Evaluator(cfg.test_evaluator)
    evaluator.dataset_meta = getattr(loader.dataset, 'metainfo', None)
    seconds = []
    for batch in loader:
        prepared = predictor.model.data_preprocessor(batch, False)
        (sample,) = prepared['data_samples']
        if cfg.default_scope == 'mmdet':
            picture = read_picture(sample.img_path, reading=predictor.reading)
            feed = {'image': picture[None]}
        else:
            feed = {'images': prepared['inputs'].numpy()}
        began = time.perf_counter()
        outputs = run(feed)
        seconds.append(time.perf_counter() - began)
        _fill(sample, [torch.from_numpy(one) for one in outputs], predictor)
        evaluator.process(data_samples=[sample], data_batch=batch)
        if len(seconds) == number:
            break
    with redirect_stdout(StringIO()):
        figures = evaluator.evaluate(len(seconds))
    shown = {name: float(figures[name]) for name in HEADLINES if name in figures}
    later = seconds[1:] or seconds  # the first prepares the others
    return Measured(shown or figures, 1000 * median(later), len(seconds))


def _fill(sample: Any, outputs: list[Tensor], predictor: Predictor) -> None:
    """Put the outputs into a data sample, as the model's ``predict`` does."""
    scope = predictor.cfg.default_scope
    if scope == 'mmdet':
        names = ('bboxes', 'labels', 'scores', 'masks')
        sample.pred_instances = InstanceData(**dict(zip(names, outputs, strict=False)))
    elif scope == 'mmseg':
        (scores,) = outputs
        logits = scores.logit() if scores.shape[1] == 1 else scores
        predictor.model.postprocess_result(logits, [sample])
    else:
        if len(outputs) > 1:
            raise InvalidValueError(f'classifiers of {len(outputs)} tasks cannot be tested here')
        scores = outputs[0][0]
        sample.set_pred_score(scores).set_pred_label(scores.argmax())
