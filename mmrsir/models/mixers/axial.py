"""Axial attention: arXiv 1912.12180, Section 3; in vision models arXiv 2003.07853.

Shape suffixes: B batch, L tokens, C channels.
"""

from torch import Tensor

from ..partition import Partition, PartitionAttention
from .base import Mixer, MixerSettings


class AxialAttention(Mixer):
    """Attention inside whole rows in the even blocks of a stage, whole columns in the odd ones."""

    def __init__(self, settings: MixerSettings) -> None:
        super().__init__()
        self.along_rows = settings.index % 2 == 0
        self.attn = PartitionAttention(settings.embed_dims, settings.num_heads)

    def forward(self, x_BLC: Tensor, grid: tuple[int, int]) -> Tensor:
        """Attend inside rows or columns; see :meth:`Mixer.forward`."""
        return self.attn(x_BLC, self._partition(grid))

    def weigh(
        self, x_BLC: Tensor, grid: tuple[int, int], order_BM: Tensor | None, query: int
    ) -> Tensor:
        """Weigh a row or column; see :meth:`Mixer.weigh`."""
        return self.attn.weigh(x_BLC, self._partition(grid), query)

    def _partition(self, grid: tuple[int, int]) -> Partition:
        """Return the rows or the columns."""
        return Partition(grid, (1, grid[1]) if self.along_rows else (grid[0], 1))
