"""Criss-cross attention (CCNet): arXiv 1811.11721, Section 3.2.

Shape suffixes: B batch, L tokens, C channels, H W grid, h heads, d head dimension.
"""

import torch
from torch import Tensor, nn

from ..linear import linear
from ..windows import query_weights
from .base import Mixer, MixerSettings


class CrissCrossAttention(Mixer):
    """Attention of each token to its row and its column, H + W - 1 tokens in all."""

    def __init__(self, settings: MixerSettings) -> None:
        super().__init__()
        self.num_heads = settings.num_heads
        self.qkv = nn.Linear(settings.embed_dims, 3 * settings.embed_dims)
        self.proj = nn.Linear(settings.embed_dims, settings.embed_dims)

    def forward(self, x_BLC: Tensor, grid: tuple[int, int]) -> Tensor:
        """Attend to rows and columns; see :meth:`Mixer.forward`."""
        height, width = grid
        qkv_BHW3hd = (
            linear(self.qkv, x_BLC).unflatten(-1, (3, self.num_heads, -1)).unflatten(1, grid)
        )
        q_BhHWd, k_BhHWd, v_BhHWd = qkv_BHW3hd.permute(3, 0, 4, 1, 2, 5).unbind(0)
        q_BhHWd = q_BhHWd * q_BhHWd.shape[-1] ** -0.5
        row_scores_BhHWW = q_BhHWd @ k_BhHWd.transpose(-2, -1)
        column_scores_BhWHH = q_BhHWd.transpose(2, 3) @ k_BhHWd.permute(0, 1, 3, 4, 2)
        # A token is in its row and in its column, and is to be seen once.
        itself_HH = torch.eye(height, dtype=torch.bool, device=x_BLC.device)
        column_scores_BhWHH = column_scores_BhWHH.masked_fill(itself_HH, -torch.inf)
        scores = torch.cat([row_scores_BhHWW, column_scores_BhWHH.transpose(2, 3)], dim=-1)
        weights = scores.softmax(-1).to(v_BhHWd.dtype)
        row_weights_BhHWW, column_weights_BhHWH = weights.split((width, height), dim=-1)
        from_rows_BhHWd = row_weights_BhHWW @ v_BhHWd
        from_columns_BhWHd = column_weights_BhHWH.transpose(2, 3) @ v_BhHWd.transpose(2, 3)
        attended_BhHWd = from_rows_BhHWd + from_columns_BhWHd.transpose(2, 3)
        return linear(self.proj, attended_BhHWd.permute(0, 2, 3, 1, 4).reshape(x_BLC.shape))

    def attention_weights(
        self, x_BLC: Tensor, grid: tuple[int, int], order_BM: Tensor | None, query: int
    ) -> Tensor:
        """Return the weights in row and column; see :meth:`Mixer.attention_weights`."""
        q_BLhd, k_BLhd, _ = linear(self.qkv, x_BLC).unflatten(-1, (3, self.num_heads, -1)).unbind(2)
        row, column = divmod(query, grid[1])
        visible_HW = torch.zeros(grid, dtype=torch.bool, device=x_BLC.device)
        visible_HW[row] = visible_HW[:, column] = True
        return query_weights(q_BLhd[:, query], k_BLhd.transpose(1, 2), visible_HW.flatten())
