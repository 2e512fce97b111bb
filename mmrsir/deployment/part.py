"""What every exported part of a model has."""

from abc import abstractmethod
from collections.abc import Sequence
from typing import Any

from torch import Tensor, nn


class Part(nn.Module):
    """A part of a model.

    Args:
        model: The model.
    """

    output_names: Sequence[str] = ()

    def __init__(self, model: nn.Module) -> None:
        super().__init__()
        self.model: Any = model

    @abstractmethod
    def forward(self, images: Tensor) -> tuple[Tensor, ...]:
        """Return the outputs for images, (B, 3, H, W)."""

    def predict(self, images: Tensor) -> tuple[Tensor, ...]:
        """Return the same by the model's own ``predict``, where that goes another way."""
        return self(images)
