"""What is exported of a model: functions of normalized images alone."""

from abc import abstractmethod
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import torch
from mmengine.structures import BaseDataElement
from torch import Tensor, nn

from ..utils.arguments import check_choice
from ..utils.errors import InvalidValueError
from .detector import Detector

Path = tuple[str, ...]
PROBE = (2, 3, 224, 224)  # images by which a classifier shows what it makes of its outputs


class Part(nn.Module):
    """A part of a model, as a function of normalized images, (B, 3, H, W)."""

    output_names: Sequence[str] = ()

    def __init__(self, model: nn.Module) -> None:
        super().__init__()
        self.model: Any = model

    @abstractmethod
    def forward(self, images: Tensor) -> tuple[Tensor, ...]:
        """Return the outputs."""

    def predict(self, images: Tensor) -> tuple[Tensor, ...]:
        """Return the same by the model's own ``predict``, where that goes another way."""
        return self(images)


class Backbone(Part):
    """The feature pyramid of a detector, segmentor or classifier, or of a backbone alone."""

    def __init__(self, model: nn.Module) -> None:
        super().__init__(getattr(model, 'backbone', model))
        self.output_names = [f'level{index}' for index in self.model.out_indices]

    def forward(self, images: Tensor) -> tuple[Tensor, ...]:
        """Return feature maps, (B, C_i, ceil(H/s_i), ceil(W/s_i))."""
        return tuple(self.model(images))


class Classifier(Part):
    """Scores of classes: what ``predict`` of the classifier gives.

    Heads of one label apply a softmax there, heads of several labels a sigmoid, regressions
    nothing. ``predict`` itself cannot be exported, so it is asked which of these it applies.
    """

    def __init__(self, model: nn.Module) -> None:
        super().__init__(model)
        images = torch.randn(PROBE, generator=torch.Generator().manual_seed(0))
        training = model.training
        model.eval()
        with torch.no_grad(), torch.random.fork_rng(devices=[]):
            torch.manual_seed(0)  # a backbone may draw its windows
            outputs = dict(_by_task(self.model(images, mode='tensor')))
            torch.manual_seed(0)
            scores = self._scores(images, outputs)
        model.train(training)
        self._readings = {
            path: self._find_reading(output, scores[path]) for path, output in outputs.items()
        }
        self.output_names = ['_'.join(('scores', *path)) for path in outputs]

    def forward(self, images: Tensor) -> tuple[Tensor, ...]:
        """Return the scores of each task, (B, classes)."""
        outputs = _by_task(self.model(images, mode='tensor'))
        return tuple(self._readings[path](output) for path, output in outputs)

    def predict(self, images: Tensor) -> tuple[Tensor, ...]:
        """Return the same as ``predict`` gives it."""
        return tuple(self._scores(images, self._readings).values())

    def _scores(self, images: Tensor, paths: Any) -> dict[Path, Tensor]:
        samples = self.model(images, mode='predict')
        return {path: torch.stack([_score(one, path) for one in samples]) for path in paths}

    def _find_reading(self, output: Tensor, scores: Tensor) -> Callable[[Tensor], Tensor]:
        def difference(reading: Callable[[Tensor], Tensor]) -> float:
            made = reading(output)
            return float((made - scores).abs().max()) if made.shape == scores.shape else torch.inf

        nearest = min(READINGS, key=difference)
        if difference(nearest) > 1e-5 * max(1.0, float(scores.abs().max())):
            head = type(getattr(self.model, 'head', self.model)).__name__
            raise InvalidValueError(
                f'{head} cannot be exported: its scores come neither from a softmax nor from a '
                'sigmoid. Use --part backbone'
            )
        return nearest


class Segmentor(Part):
    """Scores of classes at each pixel, for whole images."""

    def __init__(self, model: nn.Module) -> None:
        super().__init__(model)
        # What mmseg makes of a single channel are probabilities already.
        self.is_binary = self.model.out_channels == 1
        self.output_names = ['scores' if self.is_binary else 'logits']

    def forward(self, images: Tensor) -> tuple[Tensor, ...]:
        """Return scores before the softmax, (B, classes, H, W); of one channel, probabilities."""
        size = images.shape[2:]
        meta = dict(ori_shape=size, img_shape=size, pad_shape=size, padding_size=[0] * 4)
        logits = self.model.encode_decode(images, [meta])
        return (logits.sigmoid() if self.is_binary else logits,)

    def predict(self, images: Tensor) -> tuple[Tensor, ...]:
        """Return the scores that ``predict`` gives for whole images."""
        settings = self.model.test_cfg
        mode, settings['mode'] = settings['mode'], 'whole'
        try:
            samples = self.model(images, mode='predict')
        finally:
            settings['mode'] = mode
        return (torch.stack([one.seg_logits.data for one in samples]),)


class Proposals(Part):
    """Feature pyramid of the neck and raw outputs of the region proposal network.

    For detectors whose further steps :class:`.detector.Detector` does not know. Of the pyramid
    torch.export records the pooling to the last level for odd or for even sizes alone, ONNX for
    all.
    """

    def __init__(self, model: nn.Module) -> None:
        super().__init__(model)
        if not hasattr(model, 'rpn_head'):
            raise InvalidValueError(f'{type(model).__name__} has no proposals: use --part backbone')
        levels = range(self.model.neck.num_outs)
        self.output_names = [
            f'{kind}{level}' for kind in ('feature', 'objectness', 'delta') for level in levels
        ]

    def forward(self, images: Tensor) -> tuple[Tensor, ...]:
        """Return features, (B, C, h, w), objectness, (B, A, h, w), and deltas, (B, 4A, h, w)."""
        features = self.model.extract_feat(images)
        objectness, deltas = self.model.rpn_head(features)
        return (*features, *objectness, *deltas)

    def predict(self, images: Tensor) -> tuple[Tensor, ...]:
        """Return what the network is given and gives while ``predict`` detects."""
        seen: list[tuple[Tensor, ...]] = []

        def watch(head: nn.Module, given: Any, made: Any) -> None:
            seen.append((*given[0], *made[0], *made[1]))

        shapes = ('img_shape', 'ori_shape', 'batch_input_shape', 'pad_shape')
        meta = dict(dict.fromkeys(shapes, tuple(images.shape[2:])), scale_factor=(1.0, 1.0))
        hook = self.model.rpn_head.register_forward_hook(watch)
        try:
            samples = [BaseDataElement(metainfo=meta) for _ in images]
            self.model(images, samples, mode='predict')
        finally:
            hook.remove()
        return seen[0]


# The first of each library is the whole model.
PARTS: dict[str, dict[str, type[Part] | type[Detector]]] = {
    'mmpretrain': dict(classifier=Classifier, backbone=Backbone),
    'mmseg': dict(segmentor=Segmentor, backbone=Backbone),
    'mmdet': dict(detector=Detector, backbone=Backbone, proposals=Proposals),
}


def take_part(model: nn.Module, scope: str, part: str | None = None) -> Part | Detector:
    """Return a part of a library's model, in evaluation mode; None for the whole model.

    Raises:
        ValueError: The library's models have no such part, or this one's cannot be exported.
    """
    parts = PARTS[scope]
    part = part or next(iter(parts))
    check_choice('part', part, parts)
    return parts[part](model).eval()


# What heads make of their outputs.
READINGS: tuple[Callable[[Tensor], Tensor], ...] = (
    lambda output: output.softmax(1),
    torch.sigmoid,
    lambda output: output,
)


def _by_task(output: Any, path: Path = ()) -> Iterator[tuple[Path, Tensor]]:
    """Iterate over the outputs of a classifier's tasks, mostly a single one."""
    if not isinstance(output, dict):
        # Conformer has two branches.
        yield path, output if isinstance(output, Tensor) else sum(output)
        return
    for task, one in output.items():
        yield from _by_task(one, (*path, task))


def _score(sample: Any, path: Path) -> Tensor:
    for task in path:
        sample = sample.get(task)
    return sample.pred_score
