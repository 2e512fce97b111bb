"""Shifted windows (Swin): arXiv 2103.14030, Section 3.2."""

from ..partition import Partition, PartitionAttention
from .base import MixerSettings, PartitionedTokens


class ShiftedWindows(PartitionedTokens):
    """Attention inside square windows, moved by half a window in every other block.

    Along a side that one window covers nothing is moved. A bias depends on the relative position.
    """

    def __init__(self, settings: MixerSettings) -> None:
        super().__init__()
        self.window_size = settings.window_size
        self.shift = settings.window_size // 2 if settings.index % 2 else 0
        window = (self.window_size, self.window_size)
        self.attn = PartitionAttention(settings.embed_dims, settings.num_heads, window)

    def partition(self, grid: tuple[int, int]) -> Partition:
        """Return the windows."""
        down, across = (self.shift if side > self.window_size else 0 for side in grid)
        return Partition(grid, (self.window_size, self.window_size), shift=(down, across))
