"""Multi-head self-attention inside windows of a token sequence.

A window is N consecutive tokens of the sequence, in whatever order it stands. A window
of permuted tokens has no geometry, hence there is no relative position bias.

Shape suffixes: B batch, M tokens of a sequence of whole windows (:mod:`.order`), C channels,
N window tokens, h heads, d head dimension, W windows of the whole batch, L tokens.

Source: arXiv 2304.06250, Section 3 and Algorithm 1.
"""

from collections.abc import Sequence
from contextlib import nullcontext

import torch
import torch.nn.functional as F
from mmengine.model import BaseModule
from torch import Tensor
from torch.nn.attention import SDPBackend, sdpa_kernel

from .linear import Linear

try:
    from . import kernels
except ImportError:  # no Triton
    kernels = None  # type: ignore[assignment]

# Windows times heads that CUDA's kernels take at once.
MAX_PROBLEMS = 65535
# Not cuDNN's, which plans for each number of windows anew, hence at each image size.
BACKENDS = [SDPBackend.FLASH_ATTENTION, SDPBackend.EFFICIENT_ATTENTION, SDPBackend.MATH]


def fused_attention(q: Tensor, k: Tensor, v: Tensor, mask: Tensor | None = None) -> Tensor:
    """Attend with torch's fused kernels, in parts where CUDA's take no more at once.

    Args:
        q: Queries, (a, b, N, d); a problem for each of a * b.
        k: Keys, (a, b, K, d).
        v: Values, (a, b, K, d).
        mask: What torch takes as a mask, (1, b or 1, N, K); or one of its own for each of b,
            (b, N, K), where these are too many for one call. Without one more kernels apply.

    Returns:
        Attention output, (a, b, N, d).
    """
    dim = 1 if mask is not None and mask.ndim == 3 else 0
    limit = max(1, MAX_PROBLEMS // q.shape[1 - dim])
    parts = [tensor.split(limit, dim) for tensor in (q, k, v)]
    masks: Sequence[Tensor | None] = [mask] * len(parts[0])
    if mask is not None and dim == 1:
        masks = mask.split(limit)
    # Other devices than CUDA choose their kernel for themselves.
    with sdpa_kernel(BACKENDS) if q.device.type == 'cuda' else nullcontext():
        attended = [
            F.scaled_dot_product_attention(*part) for part in zip(*parts, masks, strict=True)
        ]
    return attended[0] if len(attended) == 1 else torch.cat(attended, dim)


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

    def attends_in_place(self, x_BLC: Tensor) -> bool:
        """Return whether there is a kernel that reads tokens through an index: on CUDA.

        Args:
            x_BLC: Tokens, (B, L, C).
        """
        if kernels is None or x_BLC.device.type != 'cuda' or _is_recorded():
            return False
        amp = torch.is_autocast_enabled('cuda') and x_BLC.dtype != torch.float64
        dtype = torch.get_autocast_dtype('cuda') if amp else x_BLC.dtype
        head_dim = self.proj.in_features // self.num_heads
        return kernels.supports(x_BLC.device, dtype, self.window_tokens, head_dim)

    def attend_in_place(self, x_BLC: Tensor, order_BM: Tensor) -> Tensor:
        """Attend inside windows of tokens that are not moved, where :meth:`attends_in_place`.

        Args:
            x_BLC: Normalized tokens in any order, (B, L, C).
            order_BM: Where the tokens of the windows stand, (B, M), as :mod:`.order` makes it.

        Returns:
            Attention output in the order of the input, (B, L, C).
        """
        attended_BLC = kernels.attend_in_place(
            self.qkv(x_BLC), order_BM, self.num_heads, self.window_tokens
        )
        return self.proj(attended_BLC)

    def forward(self, x_BMC: Tensor) -> Tensor:
        """Attend inside windows.

        Args:
            x_BMC: Normalized tokens in window order, (B, M, C); M is a multiple of N, or
                less than N for a single, smaller window.

        Returns:
            Attention output in the same order, (B, M, C).
        """
        is_one_window = x_BMC.shape[1] < self.window_tokens
        shape = (1, -1) if is_one_window else (-1, self.window_tokens)
        qkv_WN = self.qkv(x_BMC).unflatten(1, shape).flatten(0, 1)
        qkv_3WhNd = qkv_WN.unflatten(-1, (3, self.num_heads, -1)).permute(2, 0, 3, 1, 4)
        attended_WhNd = _attend(*qkv_3WhNd.unbind(0))
        return self.proj(attended_WhNd.transpose(1, 2).reshape(x_BMC.shape))


def _is_recorded() -> bool:
    """Return whether the model is traced or exported, for any device, not compiled for this one."""
    # While it compiles torch says that it exports, too.
    exported = torch.compiler.is_exporting() and not torch.compiler.is_dynamo_compiling()
    return exported or torch.jit.is_tracing()


def _attend(q_WhNd: Tensor, k_WhNd: Tensor, v_WhNd: Tensor) -> Tensor:
    """Attend inside windows, (W, h, N, d)."""
    if q_WhNd.device.type == 'cpu' and not torch.is_grad_enabled():
        # For windows as small as these two products are faster than torch's fused kernel, which
        # in training is as fast and saves the memory of the weights (docs/performance.md).
        weights_WhNN = (q_WhNd * q_WhNd.shape[-1] ** -0.5) @ k_WhNd.transpose(-2, -1)
        return weights_WhNN.softmax(-1) @ v_WhNd
    return fused_attention(q_WhNd, k_WhNd, v_WhNd)
