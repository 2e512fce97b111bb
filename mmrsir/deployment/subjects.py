"""What is exported of a model: functions of normalized images alone."""

from typing import Any

import torch.nn.functional as F
from torch import Tensor, nn

from ..models.arguments import check_choice


class Backbone(nn.Module):
    """The feature pyramid.

    Args:
        model: A detector, segmentor or classifier, or a backbone alone.
    """

    def __init__(self, model: nn.Module) -> None:
        super().__init__()
        self.backbone: Any = getattr(model, 'backbone', model)

    @property
    def output_names(self) -> list[str]:
        """Names of the outputs."""
        return [f'level{index}' for index in self.backbone.out_indices]

    def forward(self, images: Tensor) -> tuple[Tensor, ...]:
        """Return feature maps, (B, C_i, ceil(H/s_i), ceil(W/s_i)) of images, (B, 3, H, W)."""
        return tuple(self.backbone(images))


class Classifier(nn.Module):
    """Probabilities of classes.

    Args:
        model: A classifier of mmpretrain.
    """

    output_names = ('scores',)

    def __init__(self, model: nn.Module) -> None:
        super().__init__()
        self.model = model

    def forward(self, images: Tensor) -> Tensor:
        """Return probabilities, (B, classes), of images, (B, 3, H, W)."""
        return self.model(images, mode='tensor').softmax(-1)


class Segmentor(nn.Module):
    """Scores of classes at each pixel.

    Args:
        model: An encoder and decoder of mmseg.
    """

    output_names = ('logits',)

    def __init__(self, model: nn.Module) -> None:
        super().__init__()
        self.model: Any = model

    def forward(self, images: Tensor) -> Tensor:
        """Return scores before the softmax, (B, classes, H, W), of images, (B, 3, H, W)."""
        logits = self.model(images, mode='tensor')
        align_corners = self.model.align_corners
        return F.interpolate(logits, images.shape[2:], mode='bilinear', align_corners=align_corners)


class Proposals(nn.Module):
    """Feature pyramid of the neck and raw outputs of the region proposal network.

    What follows in a two-stage detector, suppression of boxes and a head for each of those that
    remain, has sizes that depend on values; the libraries have no exportable form of it. Of the
    pyramid torch.export records the pooling to the last level for odd or for even sizes alone,
    ONNX for all.

    Args:
        model: A two-stage detector of mmdet.
    """

    def __init__(self, model: nn.Module) -> None:
        super().__init__()
        self.model: Any = model

    @property
    def output_names(self) -> list[str]:
        """Names of the outputs."""
        levels = range(self.model.neck.num_outs)
        return [f'{kind}{level}' for kind in ('feature', 'objectness', 'delta') for level in levels]

    def forward(self, images: Tensor) -> tuple[Tensor, ...]:
        """Return features, (B, C, h, w), objectness, (B, A, h, w), and deltas, (B, 4A, h, w)."""
        features = self.model.extract_feat(images)
        objectness, deltas = self.model.rpn_head(features)
        return (*features, *objectness, *deltas)


PARTS: dict[str, type[nn.Module]] = {
    'backbone': Backbone,
    'classifier': Classifier,
    'segmentor': Segmentor,
    'proposals': Proposals,
}
WHOLE = {'mmpretrain': 'classifier', 'mmseg': 'segmentor', 'mmdet': 'proposals'}


def take_part(model: nn.Module, scope: str, part: str | None = None) -> Any:
    """Return the part of a model that is exported.

    Args:
        model: A model of one of the three libraries.
        scope: The library.
        part: ``'backbone'`` or what :data:`WHOLE` has for the library; None for the latter.

    Returns:
        The part, in evaluation mode.

    Raises:
        ValueError: The library's models have no such part.
    """
    part = part or WHOLE[scope]
    check_choice('part', part, ('backbone', WHOLE[scope]))
    if part == 'proposals' and not hasattr(model, 'rpn_head'):
        raise ValueError(f'{type(model).__name__} has no proposals: take the backbone')
    return PARTS[part](model).eval()
