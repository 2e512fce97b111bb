"""Multi-head self-attention inside windows of a token sequence.

A window is N consecutive tokens of the sequence, in whatever order it stands. A window
of permuted tokens has no geometry, hence there is no relative position bias.

Shape suffixes: B batch, L tokens, C channels, N window tokens, h heads, d head
dimension, W windows of the whole batch.

Source: arXiv 2304.06250, Section 3 and Algorithm 1.
"""

import torch
import torch.nn.functional as F
from mmengine.model import BaseModule
from torch import Tensor, nn


class WindowAttention(BaseModule):
    """Self-attention inside consecutive windows.

    Where L is no multiple of N, the tokens of the last, partial window attend to the
    last N tokens of the sequence, so that every query sees min(N, L) keys and neither
    padding nor a mask is needed (our reading, docs/paper.md).

    Args:
        embed_dims: C.
        num_heads: h; it divides C.
        window_tokens: N.
    """

    def __init__(self, embed_dims: int, num_heads: int, window_tokens: int) -> None:
        super().__init__()
        self.num_heads = num_heads
        self.window_tokens = window_tokens
        self.qkv = nn.Linear(embed_dims, 3 * embed_dims)
        self.proj = nn.Linear(embed_dims, embed_dims)

    def forward(self, x_BLC: Tensor) -> Tensor:
        """Attend inside windows.

        Args:
            x_BLC: Normalized tokens in window order, (B, L, C).

        Returns:
            Attention output in the same order, (B, L, C).
        """
        num_tokens = x_BLC.shape[1]
        qkv = self.qkv(x_BLC)
        remainder = num_tokens % self.window_tokens
        whole = num_tokens - remainder
        outputs = []
        if whole:
            windows = qkv[:, :whole].reshape(-1, self.window_tokens, qkv.shape[-1])
            outputs.append(self._attend(windows, windows).reshape(-1, whole, x_BLC.shape[-1]))
        if remainder:
            outputs.append(self._attend(qkv[:, whole:], qkv[:, -self.window_tokens :]))
        return self.proj(outputs[0] if len(outputs) == 1 else torch.cat(outputs, dim=1))

    def _attend(self, queries: Tensor, keys: Tensor) -> Tensor:
        """Attend from the query part of one (W, n, 3C) tensor to the key part of another."""
        q = self._heads(queries)[0]
        _, k, v = self._heads(keys)
        # No mask, 4-D and no dropout, so that the fused kernels apply.
        return F.scaled_dot_product_attention(q, k, v).transpose(1, 2).flatten(2)

    def _heads(self, qkv: Tensor) -> tuple[Tensor, ...]:
        """Split (W, n, 3C) into query, key and value, each (W, h, n, d)."""
        return qkv.unflatten(-1, (3, self.num_heads, -1)).permute(2, 0, 3, 1, 4).unbind(0)
