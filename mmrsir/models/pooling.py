"""NormedAveragePooling: from a feature pyramid to the input of a classifier."""

from collections.abc import Sequence

from mmengine.model import BaseModule
from mmengine.registry import MODELS
from torch import Tensor, nn


@MODELS.register_module()
class NormedAveragePooling(BaseModule):
    """Average the last map, then LayerNorm: for backbones without a norm at their end.

    Args:
        channels: C of the last map.
    """

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.norm = nn.LayerNorm(channels)

    def forward(self, levels: Sequence[Tensor]) -> tuple[Tensor]:
        """Pool.

        Args:
            levels: Feature maps, the last one (B, C, H, W).

        Returns:
            The normalized average, (B, C).
        """
        return (self.norm(levels[-1].mean(dim=(2, 3))),)
