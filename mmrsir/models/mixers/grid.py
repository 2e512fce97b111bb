"""Block and grid attention (MaxViT's multi-axis attention): arXiv 2204.01697, Section 3.2.

Shape suffixes: B batch, L tokens, C channels.
"""

from torch import Tensor

from ..partition import Partition, PartitionAttention
from .base import Mixer, MixerSettings


class GridAttention(Mixer):
    """Attention inside windows in the even blocks of a stage, inside dilated grids in the odd ones.

    A dilated grid has as many tokens as a window, evenly spread over the whole feature map. A bias
    depends on the relative position in the window or grid.
    """

    def __init__(self, settings: MixerSettings) -> None:
        super().__init__()
        self.window = (settings.window_size, settings.window_size)
        self.dilated = settings.index % 2 == 1
        self.attn = PartitionAttention(settings.embed_dims, settings.num_heads, self.window)

    def forward(self, x_BLC: Tensor, grid: tuple[int, int]) -> Tensor:
        """Attend inside windows or grids; see :meth:`Mixer.forward`."""
        return self.attn(x_BLC, Partition(grid, self.window, dilated=self.dilated))

    def weigh(
        self, x_BLC: Tensor, grid: tuple[int, int], order_BM: Tensor | None, query: int
    ) -> Tensor:
        """Weigh a window or grid; see :meth:`Mixer.weigh`."""
        return self.attn.weigh(x_BLC, Partition(grid, self.window, dilated=self.dilated), query)
