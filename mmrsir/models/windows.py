"""Multi-head self-attention inside windows of a token sequence.

A window is N consecutive tokens of the sequence, in whatever order it stands. A window
of permuted tokens has no geometry, hence there is no relative position bias.

Shape suffixes: B batch, M tokens of a sequence of whole windows (:mod:`.order`), C channels,
N window tokens, h heads, d head dimension, W windows of the whole batch.

Source: arXiv 2304.06250, Section 3 and Algorithm 1.
"""

import torch
import torch.nn.functional as F
from mmengine.model import BaseModule
from torch import Tensor

from .linear import Linear


class WindowAttention(BaseModule):
    """Self-attention inside consecutive windows.

    Args:
        embed_dims: C.
        num_heads: h; it divides C.
        window_tokens: N.
    """

    def __init__(self, embed_dims: int, num_heads: int, window_tokens: int) -> None:
        super().__init__()
        self.num_heads = num_heads
        self.window_tokens = window_tokens
        self.qkv = Linear(embed_dims, 3 * embed_dims)
        self.proj = Linear(embed_dims, embed_dims)

    def forward(self, x_BMC: Tensor) -> Tensor:
        """Attend inside windows.

        Args:
            x_BMC: Normalized tokens in window order, (B, M, C); M is a multiple of N, or
                less than N for a single, smaller window.

        Returns:
            Attention output in the same order, (B, M, C).
        """
        window_tokens = min(self.window_tokens, x_BMC.shape[1])
        qkv_WN = self.qkv(x_BMC).unflatten(1, (-1, window_tokens)).flatten(0, 1)
        qkv_3WhNd = qkv_WN.unflatten(-1, (3, self.num_heads, -1)).permute(2, 0, 3, 1, 4)
        attended_WhNd = _attend(*qkv_3WhNd.unbind(0))
        return self.proj(attended_WhNd.transpose(1, 2).reshape(x_BMC.shape))


def _attend(q_WhNd: Tensor, k_WhNd: Tensor, v_WhNd: Tensor) -> Tensor:
    """Attend inside windows, (W, h, N, d)."""
    if q_WhNd.device.type != 'cpu' or torch.is_grad_enabled():
        # No mask, 4-D and no dropout, so that the fused kernels apply.
        return F.scaled_dot_product_attention(q_WhNd, k_WhNd, v_WhNd)
    # For windows as small as these torch's fused kernel of the CPU is half as fast as two
    # products; in training it saves the memory of the weights.
    weights_WhNN = (q_WhNd * q_WhNd.shape[-1] ** -0.5) @ k_WhNd.transpose(-2, -1)
    return weights_WhNN.softmax(-1) @ v_WhNd
