"""Shifted windows (Swin): arXiv 2103.14030, Section 3.2."""

from ..partition import Partition, PartitionAttention, window_in
from .base import MixerSettings, PartitionedTokens


class ShiftedWindows(PartitionedTokens):
    """Attention inside square windows, shifted by half a window in every other block.

    There is no shift along a side that one window covers. A relative position bias is added.
    """

    def __init__(self, settings: MixerSettings) -> None:
        super().__init__()
        self.window = (settings.window_size, settings.window_size)
        self.shift = settings.window_size // 2 if settings.index % 2 else 0
        self.attn = PartitionAttention(settings.embed_dims, settings.num_heads, self.window)

    def partition(self, grid: tuple[int, int]) -> Partition:
        """Return the windows."""
        down, across = (self.shift if side > self.window[0] else 0 for side in grid)
        return Partition(grid, window_in(grid, self.window), shift=(down, across))
