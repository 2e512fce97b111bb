"""One way to predict for all three tasks."""

import warnings
from collections.abc import Iterable, Sequence
from typing import Any, NamedTuple

import numpy as np
import torch
from mmengine.config import Config
from mmengine.registry import init_default_scope
from mmengine.runner.checkpoint import load_state_dict

from ..checkpoints.reading import check_complete, check_match, match_weights, read_checkpoint
from ..datasets.loading.reading import Reading
from ..engine.config_check.built_model import class_heads
from ..engine.launch import read_config
from ..evaluation import RandomDraws
from ..utils.arguments import pick_device
from ..utils.errors import InvalidValueError
from .inference_config import prepare

TOP = 5
LARGE = 25_000_000  # pixels that take a CPU about half a minute, and memory of gigabytes
SHRINK = {
    'mmdet': "dict(type='Resize', scale=(1333, 800), keep_ratio=True)",
    'mmseg': "dict(type='Resize', scale=(2048, 1024), keep_ratio=True)",
    'mmpretrain': "dict(type='ResizeEdge', scale=256, edge='short')",
}
SHORT_SIDE = 256  # pixels; smaller pictures have no room for the names of classes


class Prediction(NamedTuple):
    """What a model finds in a picture.

    Args:
        drawn: The picture with what was found, RGB, uint8, (H, W, 3); small pictures of classifiers
            are enlarged.
        found: What can be written as JSON: a list of objects (``label``, ``score``, ``box`` as
            [x1, y1, x2, y2] in pixels), of classes in the picture (``label``, ``share`` of the
            pixels), or of the likeliest classes (``label``, ``score``).
        label_map: Class of each pixel, (H, W), of segmentors; None of others.
        uncertainty: Variance over draws of random windows, (H, W), see
            :class:`mmrsir.evaluation.RandomDraws`; None without draws, and of classifiers.
    """

    drawn: np.ndarray
    found: list[dict[str, Any]]
    label_map: np.ndarray | None = None
    uncertainty: np.ndarray | None = None


class Predictor:
    """A model of mmdet, mmseg or mmpretrain, ready for pictures.

    Args:
        config: A config file, or the name of one of ours.
        checkpoint: Its weights; None for random ones.
        device: Where it runs; None for a GPU where there is one.
        score_thr: Objects with a lower score are left out.
        num_draws: Predict the mean of so many draws of the random windows; None for the fixed
            windows.
        min_matched: Smallest share of the model's weights that the checkpoint must have; 0 allows
            anything.

    Attributes:
        cfg: The config.
        model: The model, in evaluation mode.
        classes: Names of the classes; numbers where neither the checkpoint nor the config has
            names; none where the model has no single list of classes.
        reading: How the config reads images, for :func:`.read_picture`.

    Raises:
        CheckpointMismatchError: The checkpoint has less, or a part of the model would be random.
        FileNotFoundError: There is no such checkpoint, or no such config.
        ValueError: There is no such device, or no such score.
    """

    def __init__(
        self,
        config: str,
        checkpoint: str | None = None,
        device: str | None = None,
        score_thr: float = 0.3,
        num_draws: int | None = None,
        min_matched: float = 0.9,
    ) -> None:
        if not 0 <= score_thr <= 1:
            raise InvalidValueError(f'score_thr={score_thr} must be from 0 to 1')
        self.cfg = read_config(config, None)
        if num_draws is not None:
            self.cfg.model.backbone.eval_sampling = 'random'
        self.score_thr = score_thr
        content = {} if checkpoint is None else read_checkpoint(checkpoint)
        prepare(self.cfg, content.get('meta') or {})
        self.reading = Reading.of_config(self.cfg)
        with warnings.catch_warnings():
            if content:  # its weights are loaded below, as data
                warnings.filterwarnings('ignore', '(Checkpoint is not loaded|weights is None)')
            self._inferencer = _build_inferencer(self.cfg.copy(), pick_device(device))
        self.model = self._inferencer.model
        if content:
            match = match_weights(self.model, content['state_dict'])
            check_match(match, str(checkpoint), min_matched)
            if min_matched:
                check_complete(match, self.model, str(checkpoint))
            load_state_dict(self.model, content['state_dict'])
        # The libraries would name those of COCO or Cityscapes where the checkpoint has none.
        described = self.cfg.test_dataloader.dataset.metainfo
        self.classes: Sequence[str] = described.get('classes') or _numbers(self.model)
        if self.cfg.default_scope == 'mmpretrain':
            self._inferencer.classes = self.classes
        else:
            palette = described.get('palette') or _draw_palette(len(self.classes))
            self.model.dataset_meta = dict(classes=self.classes, palette=palette)
            self._inferencer.visualizer.dataset_meta = self.model.dataset_meta
        if num_draws is not None:
            draws = RandomDraws(self.model, num_draws)
            draws.dataset_meta = getattr(self.model, 'dataset_meta', None)
            self._inferencer.model = draws

    def preprocess(self, picture: np.ndarray) -> Any:
        """Turn a picture into what the model's ``test_step`` takes.

        Args:
            picture: RGB, uint8, (H, W, 3).

        Returns:
            A batch of one.
        """
        init_default_scope(self.cfg.default_scope)
        bgr = np.ascontiguousarray(picture[..., ::-1])  # as the libraries read files
        batch = next(iter(self._inferencer.preprocess([bgr])))
        return batch[1] if self.cfg.default_scope == 'mmdet' else batch

    def __call__(self, picture: np.ndarray, score_thr: float | None = None) -> Prediction:
        """Predict for a picture.

        Args:
            picture: RGB, uint8, (H, W, 3).
            score_thr: Objects with a lower score are left out; None: the predictor's.

        Returns:
            What the model finds.
        """
        batch = self.preprocess(picture)
        self._warn_of_size(batch['inputs'])
        (sample,) = self._inferencer.forward(batch)
        least = self.score_thr if score_thr is None else score_thr
        prediction = getattr(self, f'_show_{self.cfg.default_scope}')(picture, sample, least)
        if 'uncertainty' not in sample:
            return prediction
        return prediction._replace(uncertainty=sample.uncertainty.data[0].cpu().numpy())

    def _warn_of_size(self, images: Iterable[torch.Tensor]) -> None:
        height, width = next(iter(images)).shape[-2:]
        if height * width > LARGE:
            warnings.warn(
                f'the model gets a picture of {width} x {height} pixels: it may take minutes and '
                'more memory than there is, and objects may be larger than those that it has '
                'learned. Cut the picture into parts, or make it smaller first: '
                f'{SHRINK[self.cfg.default_scope]} after LoadImageFromFile in the test pipeline',
                stacklevel=3,
            )

    def _show_mmdet(self, picture: np.ndarray, sample: Any, score_thr: float) -> Prediction:
        (drawn,) = self._inferencer.visualize(
            [picture], [sample], return_vis=True, pred_score_thr=score_thr
        )
        instances = sample.pred_instances
        instances = instances[instances.scores > score_thr].cpu()
        columns = (instances.labels, instances.scores, instances.bboxes)
        found = [
            dict(
                label=self.classes[label],
                score=round(score, 4),
                box=[round(side, 1) for side in box],
            )
            for label, score, box in zip(*map(torch.Tensor.tolist, columns), strict=True)
        ]
        return Prediction(drawn, found)

    def _show_mmseg(self, picture: np.ndarray, sample: Any, _: float) -> Prediction:
        (drawn,) = self._inferencer.visualize([picture], [sample], return_vis=True)
        label_map = sample.pred_sem_seg.data[0].cpu().numpy().astype(np.uint8)
        counts = np.bincount(label_map.ravel(), minlength=len(self.classes))
        found = [
            dict(label=self.classes[label], share=round(float(counts[label] / label_map.size), 4))
            for label in np.argsort(-counts, kind='stable').tolist()
            if counts[label]
        ]
        return Prediction(drawn, found, label_map)

    def _show_mmpretrain(self, picture: np.ndarray, sample: Any, _: float) -> Prediction:
        from mmpretrain.visualization import UniversalVisualizer

        scores = sample.pred_score.cpu()
        likeliest = scores.topk(min(TOP, len(scores)))
        found = [
            dict(label=self.classes[label], score=round(score, 4))
            for score, label in zip(*map(torch.Tensor.tolist, likeliest), strict=True)
        ]
        drawn = UniversalVisualizer().visualize_cls(
            picture.copy(),
            sample,
            classes=self.classes,
            draw_gt=False,
            resize=SHORT_SIDE if max(picture.shape[:2]) < SHORT_SIDE else None,
        )
        return Prediction(drawn, found)


def _draw_palette(number: int) -> list[tuple[int, ...]]:
    """Draw a colour for each class, the same in each run."""
    drawn = np.random.default_rng(0).integers(0, 256, (number, 3))
    return [tuple(color) for color in drawn.tolist()]


def _numbers(model: Any) -> tuple[str, ...]:
    """Return the numbers of a model's classes; none where it has no single list of them."""
    found = {head.num_classes for head in class_heads(model).values()}
    return tuple(map(str, range(found.pop()))) if len(found) == 1 else ()


def _build_inferencer(cfg: Config, device: str) -> Any:
    """Build the inferencer of the config's library, with random weights."""
    init_default_scope(cfg.default_scope)
    if cfg.default_scope == 'mmdet':
        from mmdet.apis import DetInferencer

        return DetInferencer(cfg, None, device, show_progress=False)
    if cfg.default_scope == 'mmseg':
        from mmseg.apis import MMSegInferencer

        return MMSegInferencer(cfg, None, device=device, show_progress=False)
    from mmpretrain.apis import ImageClassificationInferencer

    return ImageClassificationInferencer(cfg, False, device)
