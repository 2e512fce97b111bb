"""Axial attention: arXiv 1912.12180, Section 3; in vision models arXiv 2003.07853."""

from ..partition import Partition, PartitionAttention
from .base import MixerSettings, PartitionedTokens


class AxialAttention(PartitionedTokens):
    """Attention inside whole rows in the even blocks of a stage, whole columns in the odd ones."""

    def __init__(self, settings: MixerSettings) -> None:
        super().__init__()
        self.along_rows = settings.index % 2 == 0
        self.attn = PartitionAttention(settings.embed_dims, settings.num_heads)

    def partition(self, grid: tuple[int, int]) -> Partition:
        """Return the rows or the columns."""
        return Partition(grid, (1, grid[1]) if self.along_rows else (grid[0], 1))
