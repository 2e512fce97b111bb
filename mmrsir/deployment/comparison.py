"""Comparing what an exported file computes with what the model does.

IR-Win sorts: rounding alone puts two patches that are almost equally important into other windows.
Where that happens, an export can come no nearer to a model than the model to itself, when pixels
change by about a millionth. So much is excused.
"""

from collections.abc import Callable, Iterable, Sequence
from typing import NamedTuple

import numpy as np
import torch
from scipy.optimize import linear_sum_assignment
from torch import Tensor
from torchvision.ops import box_iou

from ..apis import Predictor
from ..utils.errors import InvalidValueError
from .detector import Detector
from .export import Outputs
from .parts import Part
from .pictures import prepare

Size = tuple[int, int, int]
"""Height, width, number of images."""
TOLERANCE = 1e-4  # of outputs
TRIALS = 4  # of changes by a millionth
BOXES = 0.1  # pixels
SCORES = 0.01
SAME = 0.5  # overlap of boxes of the same object


class Comparison(NamedTuple):
    """How far an export is from its module."""

    difference: float  # the largest absolute one of all outputs
    own: float | None  # of the module from itself; None where the first is within the tolerance


def compare_outputs(part: Part, loaded: Outputs, size: Size) -> Comparison:
    """Compare a model's own ``predict`` with its export, and where they differ with itself."""
    difference = largest_difference(part.predict, loaded, size)
    own = None if difference <= TOLERANCE else own_difference(part.predict, size)
    return Comparison(difference, own)


def agree(comparisons: Sequence[Comparison]) -> bool:
    """Return whether an export computes what its module does, compared at several sizes.

    At one of them at least, the difference must be within the tolerance; elsewhere at most twice
    that of the module from itself.
    """
    return any(one.own is None for one in comparisons) and all(
        one.own is None or one.difference <= 2 * one.own for one in comparisons
    )


def largest_difference(expected: Outputs, outputs: Outputs, size: Size) -> float:
    """Return the largest difference of what two functions make of random images.

    It is NaN where one has NaN.

    Raises:
        ValueError: The outputs differ in number or shape.
    """
    images = _draw(size)
    with torch.no_grad(), torch.random.fork_rng(devices=[]):
        pairs = [function(images) for function in (expected, outputs)]
    pairs = [(made,) if isinstance(made, Tensor) else tuple(made) for made in pairs]
    shapes = [[tuple(out.shape) for out in outs] for outs in pairs]
    if shapes[0] != shapes[1]:
        raise InvalidValueError(f'outputs of {size} are {shapes[1]}, those of torch {shapes[0]}')
    differences = [(one - other).abs().max() for one, other in zip(*pairs, strict=True)]
    return float(torch.stack(differences).max())


def own_difference(outputs: Outputs, size: Size) -> float:
    """Return the largest difference of what a function makes of almost the same random images."""

    def difference(trial: int) -> float:
        change = 1e-6 * _draw(size, trial)
        return largest_difference(outputs, lambda images: outputs(images + change), size)

    return max(difference(trial) for trial in range(1, TRIALS + 1))


def _draw(size: Size, trial: int = 0) -> Tensor:
    """Draw images that depend on their size and the number of the trial alone."""
    height, width, number = size
    generator = np.random.default_rng((*size, trial))
    return torch.from_numpy(generator.standard_normal((number, 3, height, width), np.float32))


class Detections(NamedTuple):
    """Objects in a picture."""

    boxes: np.ndarray  # in pixels, (N, 4) as x1, y1, x2, y2
    labels: np.ndarray  # (N,)
    scores: np.ndarray  # (N,)
    masks: np.ndarray | None = None  # (N, H, W), bool; None where the detector has no masks

    @classmethod
    def of_instances(cls, found: object) -> 'Detections':
        """Return the ``pred_instances`` of a data sample of mmdet."""
        values = (getattr(found, name, None) for name in ('bboxes', 'labels', 'scores', 'masks'))
        return cls(*(one.numpy() if isinstance(one, Tensor) else one for one in values))  # type: ignore[arg-type]


class Difference(NamedTuple):
    """How far two sets of objects are apart."""

    number: int  # of the first set
    alone: int  # objects of either set without a partner in the other
    boxes: float  # largest difference of coordinates of partners, pixels
    scores: float  # largest difference of their scores
    pixels: float  # share of the pixels in masks of partners, all together, that are in one alone

    @property
    def is_small(self) -> bool:
        """Whether the sets are equal for any use."""
        return not self.alone and self.boxes <= BOXES and self.scores <= SCORES


def compare_detections(expected: Detections, found: Detections) -> Difference:
    """Compare two sets of objects; partners have the same label, and boxes that overlap most."""
    overlap = box_iou(*map(torch.from_numpy, (expected.boxes, found.boxes))).nan_to_num().numpy()
    if overlap.size:  # boxes without an area overlap nothing
        overlap[np.abs(expected.boxes[:, None] - found.boxes).max(2) <= BOXES] = 1
    overlap[expected.labels[:, None] != found.labels] = 0
    one, other = linear_sum_assignment(overlap, maximize=True)
    are_partners = overlap[one, other] > SAME
    one, other = one[are_partners], other[are_partners]
    pixels = 0.0
    if expected.masks is not None and found.masks is not None:
        # One pair after the other: the masks of large pictures take gigabytes.
        pairs = [
            (expected.masks[i], found.masks[j])
            for i, j in zip(one.tolist(), other.tolist(), strict=True)
        ]
        different = sum(np.logical_xor(*pair).sum() for pair in pairs)
        pixels = different / max(1, sum(np.logical_or(*pair).sum() for pair in pairs))
    return Difference(
        number=len(expected.boxes),
        alone=len(expected.boxes) + len(found.boxes) - 2 * len(one),
        boxes=float(np.abs(expected.boxes[one] - found.boxes[other]).max(initial=0)),
        scores=float(np.abs(expected.scores[one] - found.scores[other]).max(initial=0)),
        pixels=float(pixels),
    )


def compare_objects(
    part: Detector,
    predictor: Predictor,
    loaded: Callable[[np.ndarray], Detections],
    pictures: Iterable[np.ndarray],
) -> list[tuple[Difference, bool]]:
    """Return how far the objects of a file are from the model's, and whether that is excused.

    The file is loaded by :func:`.whole_detector.load_detector`; pictures are RGB, uint8, (H, W, 3).
    """
    compared = []
    for picture in pictures:
        with torch.no_grad():
            (sample,) = predictor.model.test_step(predictor.preprocess(picture))
        expected = Detections.of_instances(sample.pred_instances)
        difference = compare_detections(expected, loaded(picture))
        excused = not difference.is_small and _is_unstable(part, prepare(predictor, picture))
        compared.append((difference, excused))
    return compared


def _is_unstable(part: Detector, inputs: dict[str, Tensor]) -> bool:
    """Return whether a detector finds other objects where pixels change by about a millionth."""

    def detect(images: Tensor) -> Detections:
        boxes, labels, scores = part(images, inputs['size'], inputs['scale'])[:3]
        return Detections(boxes.numpy(), labels.numpy(), scores.numpy())

    images = inputs['images']
    with torch.no_grad():
        expected = detect(images)
        noises = torch.randn(TRIALS, *images.shape, generator=torch.Generator().manual_seed(0))
        return any(
            not compare_detections(expected, detect(images + 1e-6 * noise)).is_small
            for noise in noises
        )
