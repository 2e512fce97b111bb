"""Multi-head self-attention inside windows of a token sequence.

A window is N consecutive tokens of a sequence in any order. A window of permuted tokens has no
geometry, so there is no relative position bias.

Shape suffixes: B batch, M tokens of a sequence of whole windows (:mod:`.order`), C channels,
N window tokens, h heads, d head dimension, W windows of the whole batch, L tokens.

Source: arXiv 2304.06250, Section 3 and Algorithm 1.
"""

from collections.abc import Sequence
from threading import Lock

import torch
import torch.nn.functional as F
from mmengine.model import BaseModule
from torch import Tensor, nn
from torch.nn.attention import SDPBackend, sdpa_kernel

from .linear import linear
from .modes import is_exporting, is_transformed
from .order import window_length

try:
    from . import kernels
except ImportError:  # no Triton
    kernels = None  # type: ignore[assignment]

# Windows times heads that CUDA's kernels take at once.
MAX_PROBLEMS = 65535
# Without cuDNN, which plans for each number of windows anew, hence at each image size.
BACKENDS = [SDPBackend.FLASH_ATTENTION, SDPBackend.EFFICIENT_ATTENTION, SDPBackend.MATH]


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
        self.head_dim = embed_dims // num_heads
        self.window_tokens = window_tokens
        self.qkv = nn.Linear(embed_dims, 3 * embed_dims)
        self.proj = nn.Linear(embed_dims, embed_dims)

    def forward(self, x_BMC: Tensor, window_tokens: int | None = None) -> Tensor:
        """Attend inside windows.

        Args:
            x_BMC: Normalized tokens in window order, (B, M, C).
            window_tokens: Tokens of a window, min(N, L). None: min(N, M), which is equal, but an
                export for any size needs the former.

        Returns:
            Attention output in the same order, (B, M, C).
        """
        if window_tokens is None:
            window_tokens = window_length(x_BMC.shape[1], self.window_tokens)
        qkv_WN = linear(self.qkv, x_BMC).unflatten(1, (-1, window_tokens)).flatten(0, 1)
        # Unbound where they stand together: the gradient is then put together by a single copy.
        parts_WNhd = qkv_WN.unflatten(-1, (3, self.num_heads, -1)).unbind(-3)
        q_WhNd, k_WhNd, v_WhNd = (part.transpose(1, 2) for part in parts_WNhd)
        # ONNX has no fused attention; torch would write it with two scalings in place of one.
        attend = attend_by_products if torch.onnx.is_in_onnx_export() else fused_attention
        attended_WhNd = attend(q_WhNd, k_WhNd, v_WhNd)
        return linear(self.proj, attended_WhNd.transpose(1, 2).reshape(x_BMC.shape))

    def supports_indexed(self, x_BLC: Tensor) -> bool:
        """Return whether a kernel, on CUDA, can read such tokens through an index."""
        if kernels is None or x_BLC.device.type != 'cuda' or is_exporting():
            return False
        if is_transformed(x_BLC):
            return False
        dtype = product_dtype(x_BLC)
        return kernels.supports(x_BLC.device, dtype, self.window_tokens, self.head_dim)

    def attend_indexed(self, x_BLC: Tensor, order_BM: Tensor) -> Tensor:
        """Attend inside windows without moving tokens.

        Args:
            x_BLC: Normalized tokens in any order, (B, L, C).
            order_BM: Places of the windows' tokens, (B, M), as :mod:`.order` returns them.

        Returns:
            Attention output in the order of the input, (B, L, C).
        """
        attended_BLC = kernels.attend_indexed(
            linear(self.qkv, x_BLC), order_BM, self.num_heads, self.window_tokens
        )
        return linear(self.proj, attended_BLC)

    def attention_weights(self, x_BNC: Tensor, place_B: Tensor) -> Tensor:
        """Return the attention weights of one token of one window of each sample, (B, h, N)."""
        q_BNhd, k_BNhd, _ = linear(self.qkv, x_BNC).unflatten(-1, (3, self.num_heads, -1)).unbind(2)
        samples = torch.arange(len(place_B), device=place_B.device)
        return query_weights(q_BNhd[samples, place_B], k_BNhd.transpose(1, 2))


def product_dtype(x: Tensor) -> torch.dtype:
    """Return the type in which linear layers multiply on CUDA: autocast's, if that is on."""
    if torch.is_autocast_enabled('cuda') and x.dtype != torch.float64:
        return torch.get_autocast_dtype('cuda')
    return x.dtype


def fused_attention(q: Tensor, k: Tensor, v: Tensor, mask: Tensor | None = None) -> Tensor:
    """Attend with torch's fused kernels.

    Args:
        q: Queries, (a, b, N, d): a * b independent problems.
        k: Keys, (a, b, K, d).
        v: Values, (a, b, K, d).
        mask: torch's mask, (1, b or 1, N, K), or one mask for each of b, (b, N, K), if b is too
            large for one call. Without a mask, more kernels apply.

    Returns:
        Attention output, (a, b, N, d).
    """
    if is_transformed(q):
        return attend_by_products(q, k, v, mask)
    if q.device.type != 'cuda':
        return F.scaled_dot_product_attention(q, k, v, mask)
    # A compiler knows torch's switch, and sets it while it compiles.
    with sdpa_kernel(BACKENDS) if torch.compiler.is_compiling() else without_cudnn:
        return attend_in_parts(q, k, v, mask)


def attend_in_parts(q: Tensor, k: Tensor, v: Tensor, mask: Tensor | None = None) -> Tensor:
    """Attend in several calls, each with as many windows as CUDA's kernels allow."""
    dim = 1 if mask is not None and mask.ndim == 3 else 0
    limit = max(1, MAX_PROBLEMS // q.shape[1 - dim])
    parts = [tensor.split(limit, dim) for tensor in (q, k, v)]
    masks: Sequence[Tensor | None] = [mask] * len(parts[0])
    if mask is not None and dim == 1:
        masks = mask.split(limit)
    attended = [F.scaled_dot_product_attention(*part) for part in zip(*parts, masks, strict=True)]
    return attended[0] if len(attended) == 1 else torch.cat(attended, dim)


def attend_by_products(q: Tensor, k: Tensor, v: Tensor, mask: Tensor | None = None) -> Tensor:
    """Attend by two matrix products; see :func:`fused_attention`."""
    return softmax((q * q.shape[-1] ** -0.5) @ k.transpose(-2, -1), mask) @ v


def query_weights(q_Bhd: Tensor, k_BhKd: Tensor, mask: Tensor | None = None) -> Tensor:
    """Return the attention weights of one query, (B, h, K); fused kernels do not return them."""
    scores_BhK = (k_BhKd @ q_Bhd.unsqueeze(-1)).squeeze(-1) * q_Bhd.shape[-1] ** -0.5
    return softmax(scores_BhK, mask)


def softmax(scores: Tensor, mask: Tensor | None) -> Tensor:
    """Turn scores, keys last, into weights. A float mask is added, a bool mask marks the keys."""
    if mask is not None and mask.dtype == torch.bool:
        scores = scores.masked_fill(~mask, -torch.inf)
    elif mask is not None:
        scores = scores + mask
    return scores.softmax(-1)


class _WithoutCudnn:
    """Keeps cuDNN out of torch's fused attention, for as long as a thread is inside.

    The switch is one for all threads. The first to enter turns cuDNN off, and the last to leave
    restores what the first has found. With torch's own context, which restores what each has
    found, the slower of two threads could leave it off. A user's choice of other kernels stays.
    """

    def __init__(self) -> None:
        self._lock = Lock()
        self._inside = 0
        self._was_enabled = True

    def __enter__(self) -> None:
        with self._lock:
            if self._inside == 0:
                self._was_enabled = torch.backends.cuda.cudnn_sdp_enabled()
                torch.backends.cuda.enable_cudnn_sdp(False)
            self._inside += 1

    def __exit__(self, *_: object) -> None:
        with self._lock:
            self._inside -= 1
            if self._inside == 0:
                torch.backends.cuda.enable_cudnn_sdp(self._was_enabled)


without_cudnn = _WithoutCudnn()
