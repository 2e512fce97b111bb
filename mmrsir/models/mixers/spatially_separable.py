"""Spatially separable self-attention (Twins-SVT): arXiv 2104.13840, Section 3.2.

Shape suffixes: B batch, L tokens, K sub-sampled tokens, C channels, h heads, d head dimension.
"""

import torch
import torch.nn.functional as F
from mmengine.model import BaseModule
from torch import Tensor, nn

from ..linear import linear
from ..partition import Partition, PartitionAttention, attend, window_in
from ..windows import query_weights
from .base import Mixer, MixerSettings

SR_RATIOS = (8, 4, 2, 1)  # by stage; further stages have the last


class SpatiallySeparableAttention(Mixer):
    """Attention inside windows in the even blocks of a stage, global in the odd ones."""

    def __init__(self, settings: MixerSettings) -> None:
        super().__init__()
        self.window = (settings.window_size, settings.window_size)
        self.attn: PartitionAttention | GlobalSubsampledAttention
        if settings.index % 2 == 0:
            self.attn = PartitionAttention(settings.embed_dims, settings.num_heads)
        else:
            ratio = SR_RATIOS[min(settings.stage, len(SR_RATIOS) - 1)]
            self.attn = GlobalSubsampledAttention(settings.embed_dims, settings.num_heads, ratio)

    def forward(self, x_BLC: Tensor, grid: tuple[int, int]) -> Tensor:
        """Attend inside windows or to sub-sampled tokens; see :meth:`Mixer.forward`."""
        if isinstance(self.attn, GlobalSubsampledAttention):
            return self.attn(x_BLC, grid)
        return self.attn(x_BLC, self._windows(grid))

    def attention_weights(
        self, x_BLC: Tensor, grid: tuple[int, int], order_BM: Tensor | None, query: int
    ) -> Tensor:
        """Return the weights in window or grid; see :meth:`Mixer.attention_weights`."""
        if isinstance(self.attn, GlobalSubsampledAttention):
            return self.attn.attention_weights(x_BLC, grid, query)
        return self.attn.attention_weights(x_BLC, self._windows(grid), query)

    def _windows(self, grid: tuple[int, int]) -> Partition:
        return Partition(grid, window_in(grid, self.window))


class GlobalSubsampledAttention(BaseModule):
    """Attention of all tokens to one token for each square of the grid.

    Args:
        embed_dims: C.
        num_heads: h; it divides C.
        sr_ratio: Side of a square. A strided convolution and a LayerNorm turn each square into one
            token. 1 keeps the tokens.
    """

    def __init__(self, embed_dims: int, num_heads: int, sr_ratio: int) -> None:
        super().__init__()
        self.num_heads = num_heads
        self.sr_ratio = sr_ratio
        self.q = nn.Linear(embed_dims, embed_dims)
        self.kv = nn.Linear(embed_dims, 2 * embed_dims)
        self.proj = nn.Linear(embed_dims, embed_dims)
        if sr_ratio > 1:
            self.sr = nn.Conv2d(embed_dims, embed_dims, kernel_size=sr_ratio, stride=sr_ratio)
            self.norm = nn.LayerNorm(embed_dims)

    def forward(self, x_BLC: Tensor, grid: tuple[int, int]) -> Tensor:
        """Attend to the squares of a grid; tokens are in raster order, (B, L, C)."""
        q_BLhd, k_BhKd, v_BhKd = self._project(x_BLC, grid)
        # All tokens are one group.
        attended_B1LC = attend(
            q_BLhd.transpose(1, 2).unsqueeze(1), k_BhKd.unsqueeze(1), v_BhKd.unsqueeze(1)
        )
        return linear(self.proj, attended_B1LC.squeeze(1))

    def attention_weights(self, x_BLC: Tensor, grid: tuple[int, int], query: int) -> Tensor:
        """Return the weights of one token, (B, h, L); the tokens of a square share its weight."""
        q_BLhd, k_BhKd, _ = self._project(x_BLC, grid)
        weights_BhK = query_weights(q_BLhd[:, query], k_BhKd)
        rows, columns = (torch.arange(side, device=x_BLC.device) // self.sr_ratio for side in grid)
        squares_L = (rows.unsqueeze(1) * -(-grid[1] // self.sr_ratio) + columns).flatten()
        return (weights_BhK / squares_L.bincount())[:, :, squares_L]

    def _project(self, x_BLC: Tensor, grid: tuple[int, int]) -> tuple[Tensor, Tensor, Tensor]:
        """Return queries, (B, L, h, d), keys and values, (B, h, K, d)."""
        q_BLhd = linear(self.q, x_BLC).unflatten(-1, (self.num_heads, -1))
        kv_BK2hd = linear(self.kv, self._subsample(x_BLC, grid)).unflatten(
            -1, (2, self.num_heads, -1)
        )
        k_BhKd, v_BhKd = kv_BK2hd.permute(2, 0, 3, 1, 4).unbind(0)
        return q_BLhd, k_BhKd, v_BhKd

    def _subsample(self, x_BLC: Tensor, grid: tuple[int, int]) -> Tensor:
        """Make one token of each square, (B, K, C); beyond the grid there are zeros."""
        if self.sr_ratio == 1:
            return x_BLC
        squares = (self.sr_ratio, self.sr_ratio)
        squares_BKC = Partition(grid, squares).split(x_BLC).flatten(2)
        # A product, as oneDNN convolves squares wrongly in bfloat16 on some CPUs (torch 2.11).
        weight = self.sr.weight.permute(0, 2, 3, 1).flatten(1)
        return self.norm(F.linear(squares_BKC, weight, self.sr.bias))
