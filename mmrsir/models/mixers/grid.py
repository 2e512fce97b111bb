"""Block and grid attention (MaxViT's multi-axis attention): arXiv 2204.01697, Section 3.2."""

from ..partition import Partition, PartitionAttention, window_in
from .base import MixerSettings, PartitionedTokens


class GridAttention(PartitionedTokens):
    """Attention inside windows in the even blocks of a stage, inside dilated grids in the odd ones.

    A dilated grid has as many tokens as a window, evenly spread over the whole feature map. A
    relative position bias is added in both.
    """

    def __init__(self, settings: MixerSettings) -> None:
        super().__init__()
        self.window = (settings.window_size, settings.window_size)
        self.dilated = settings.index % 2 == 1
        self.attn = PartitionAttention(settings.embed_dims, settings.num_heads, self.window)

    def partition(self, grid: tuple[int, int]) -> Partition:
        """Return the windows or the grids."""
        return Partition(grid, window_in(grid, self.window), dilated=self.dilated)
