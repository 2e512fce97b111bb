"""Two kernels that compute a whole block in inference on NVIDIA GPUs.

A block of separate operators writes each intermediate result to memory and reads it again: the
queries, keys and values, the hidden layer, the output of each norm. Each kernel here computes one
half of the block (Eq. 1). It reads a token once, keeps intermediate results on the chip, and
writes the token once.

- :func:`add_attention`: ``x + proj(attention(qkv(LN(x))))``. A program serves one window with all
  of its heads, and reads its tokens through an index, as :mod:`.kernels` does.
- :func:`add_mlp`: ``x + W2 GELU(W1 LN(x) + b1) + b2``. A program serves some tokens.

The kernels compute products in the type of the weights, and everything else in float32. They have
no backward pass: it would need the intermediate results, so a plain forward pass first, which
takes longer than the kernels save.

Importing this needs Triton. See :mod:`.kernels` about Triton's interpreter.

Shape suffixes: B batch, L tokens, M tokens of a sequence of whole windows, C channels, H hidden
channels, N window tokens, h heads, d head dimension.

Source: arXiv 2304.06250, Eq. 1.
"""

import math
from typing import Any

import torch
import triton
import triton.language as tl
from torch import Tensor

from . import kernels

DTYPES = (torch.float16, torch.bfloat16)  # exact products of float32 would be slow here
MAX_CHANNELS = 128
MAX_HEAD_DIM = 32  # 64 take more registers than there are
CHANNEL_STEP = 16  # a multiple of it makes whole tiles of 4 C hidden channels
_ROWS = 64  # tokens of a program of the MLP
_HIDDEN = 32  # hidden channels that it holds at a time
SQRT_HALF = tl.constexpr(math.sqrt(0.5))
LOG2_E = tl.constexpr(math.log2(math.e))


def supports(
    device: torch.device, dtype: torch.dtype, channels: int, num_heads: int, window_tokens: int
) -> bool:
    """Return whether both kernels support such tokens; ``dtype`` is that of the products."""
    return (
        dtype in DTYPES
        and channels <= MAX_CHANNELS
        and channels % CHANNEL_STEP == 0
        and channels // num_heads <= MAX_HEAD_DIM
        and kernels.supports(device, dtype, window_tokens, channels // num_heads)
    )


@torch.library.custom_op('mmrsir::add_attention', mutates_args=())
def add_attention(
    x_BLC: Tensor,
    norm_weight: Tensor,
    norm_bias: Tensor,
    qkv_weight: Tensor,
    qkv_bias: Tensor,
    proj_weight: Tensor,
    proj_bias: Tensor,
    places_BM: Tensor,
    num_heads: int,
    window_tokens: int,
    eps: float,
) -> Tensor:
    """Normalize tokens, attend inside windows without moving them, and add the result.

    Args:
        x_BLC: Tokens, (B, L, C).
        norm_weight: Weight of LayerNorm, (C,).
        norm_bias: Its bias, (C,).
        qkv_weight: Weight of the linear layer to queries, keys and values, (3C, C).
        qkv_bias: Its bias, (3C,).
        proj_weight: Weight of the linear layer after attention, (C, C), of the same type.
        proj_bias: Its bias, (C,).
        places_BM: Row of the token at each place of the windows, as in
            :func:`.kernels.attend_indexed`.
        num_heads: h; it divides C.
        window_tokens: N.
        eps: LayerNorm's.

    Returns:
        Sum of the tokens and what attention gives, (B, L, C), in the order of the input.
    """
    batch_size, num_tokens, channels = x_BLC.shape
    out_BLC = x_BLC.new_empty(x_BLC.shape)
    window_tokens = min(window_tokens, num_tokens)
    windows = places_BM.shape[1] // window_tokens
    head_dim = channels // num_heads
    with torch.cuda.device_of(x_BLC):  # Triton launches on the current device
        _attention_kernel[(batch_size * windows,)](
            x_BLC.contiguous(),
            out_BLC,
            *_contiguous(norm_weight, norm_bias, qkv_weight, qkv_bias, proj_weight, proj_bias),
            eps,
            places_BM,
            *places_BM.stride(),
            num_tokens,
            windows,
            C=channels,
            HEADS=num_heads,
            HEAD_DIM=head_dim,
            WINDOW_TOKENS=window_tokens,
            BLOCK_C=triton.next_power_of_2(channels),
            BLOCK_N=max(kernels.MIN_TILE, triton.next_power_of_2(window_tokens)),
            BLOCK_D=max(kernels.MIN_TILE, triton.next_power_of_2(head_dim)),
            SCALE=head_dim**-0.5,
            num_warps=_attention_warps(x_BLC.device, channels),
            num_stages=1,
        )
    return out_BLC


@torch.library.custom_op('mmrsir::add_mlp', mutates_args=())
def add_mlp(
    x_BLC: Tensor,
    norm_weight: Tensor,
    norm_bias: Tensor,
    weight1: Tensor,
    bias1: Tensor,
    weight2: Tensor,
    bias2: Tensor,
    eps: float,
) -> Tensor:
    """Normalize tokens, run the MLP and add the result.

    Args:
        x_BLC: Tokens, (B, L, C).
        norm_weight: Weight of LayerNorm, (C,).
        norm_bias: Its bias, (C,).
        weight1: Weight of the first layer, (H, C).
        bias1: Its bias, (H,).
        weight2: Weight of the second layer, (C, H), of the same type.
        bias2: Its bias, (C,).
        eps: LayerNorm's.

    Returns:
        Sum of the tokens and what the MLP gives, (B, L, C).
    """
    out_BLC = x_BLC.new_empty(x_BLC.shape)
    hidden, channels = weight1.shape
    rows = x_BLC.numel() // channels
    with torch.cuda.device_of(x_BLC):
        _mlp_kernel[(triton.cdiv(rows, _ROWS),)](
            x_BLC.contiguous(),
            out_BLC,
            *_contiguous(norm_weight, norm_bias, weight1, bias1, weight2, bias2),
            eps,
            rows,
            C=channels,
            HIDDEN=hidden,
            BLOCK_C=triton.next_power_of_2(channels),
            BLOCK_ROWS=_ROWS,
            BLOCK_HIDDEN=_HIDDEN,
            num_warps=4,
            num_stages=2,
        )
    return out_BLC


@add_attention.register_fake
@add_mlp.register_fake
def _(x_BLC: Tensor, *_: Any) -> Tensor:
    return x_BLC.new_empty(x_BLC.shape)


def _attention_warps(device: torch.device, channels: int) -> int:
    """Return with how many warps no register is spilled."""
    return 4 if channels <= 64 or _capability(device)[0] in (9, 10) else 8


def _capability(device: torch.device) -> tuple[int, int]:
    return torch.cuda.get_device_capability(device) if device.type == 'cuda' else (0, 0)


def _contiguous(*tensors: Tensor) -> list[Tensor]:
    return [tensor.contiguous() for tensor in tensors]


# What changes with batch and image size must not compile a kernel anew.
@triton.jit(do_not_specialize=['sample_stride', 'num_tokens', 'windows'])
def _attention_kernel(
    x: tl.tensor, out: tl.tensor, norm_weight: tl.tensor, norm_bias: tl.tensor,
    qkv_weight: tl.tensor, qkv_bias: tl.tensor, proj_weight: tl.tensor, proj_bias: tl.tensor,
    eps: tl.tensor, places: tl.tensor, sample_stride: tl.tensor, slot_stride: tl.tensor,
    num_tokens: tl.tensor, windows: tl.tensor,
    C: tl.constexpr, HEADS: tl.constexpr, HEAD_DIM: tl.constexpr, WINDOW_TOKENS: tl.constexpr,
    BLOCK_C: tl.constexpr, BLOCK_N: tl.constexpr, BLOCK_D: tl.constexpr, SCALE: tl.constexpr,
) -> None:  # fmt: skip
    """Add attention in one window, head after head."""
    dtype: tl.constexpr = qkv_weight.dtype.element_ty
    window = tl.program_id(0)
    sample = (window // windows).to(tl.int64)  # the batch may have more than 2**31 elements
    token = tl.arange(0, BLOCK_N)
    channel = tl.arange(0, BLOCK_C)
    dim = tl.arange(0, BLOCK_D)
    is_token = token < WINDOW_TOKENS
    is_channel = channel < C
    is_dim = dim < HEAD_DIM
    slots = window % windows * WINDOW_TOKENS + token
    at = places + sample * sample_stride + slots * slot_stride
    rows = sample * num_tokens + tl.load(at, is_token, other=0)
    at = rows[:, None] * C + channel[None, :]
    mask = is_token[:, None] & is_channel[None, :]
    residual = tl.load(x + at, mask, other=0.0).to(tl.float32)
    y = _normalize(residual, norm_weight, norm_bias, eps, channel, is_channel, C).to(dtype)
    result = residual + _vector(proj_bias, channel, is_channel)
    for head in range(HEADS):
        feature = head * HEAD_DIM + dim
        q = _dense(y, qkv_weight, qkv_bias, feature, channel, is_dim, is_channel, C).to(dtype)
        k = _dense(y, qkv_weight, qkv_bias, C + feature, channel, is_dim, is_channel, C).to(dtype)
        v = _dense(y, qkv_weight, qkv_bias, 2 * C + feature, channel, is_dim, is_channel, C)
        scores = tl.dot(q, tl.trans(k), input_precision='ieee') * (SCALE * LOG2_E)
        scores = tl.where(is_token[None, :], scores, float('-inf'))
        powers = tl.exp2(scores - tl.max(scores, axis=1)[:, None])
        weights = powers * (1 / tl.sum(powers, axis=1))[:, None]
        attended = tl.dot(weights.to(dtype), v.to(dtype), input_precision='ieee').to(dtype)
        weight = proj_weight + channel[None, :] * C + feature[:, None]  # (d, C)
        weight = tl.load(weight, is_dim[:, None] & is_channel[None, :], other=0.0)
        result = tl.dot(attended, weight, result, input_precision='ieee')
    # A repeated token's own result is that of its first place.
    mask = mask & (slots < num_tokens)[:, None]
    tl.store(out + at, result.to(out.dtype.element_ty), mask)


@triton.jit(do_not_specialize=['num_rows'])
def _mlp_kernel(
    x: tl.tensor, out: tl.tensor, norm_weight: tl.tensor, norm_bias: tl.tensor,
    weight1: tl.tensor, bias1: tl.tensor, weight2: tl.tensor, bias2: tl.tensor,
    eps: tl.tensor, num_rows: tl.tensor,
    C: tl.constexpr, HIDDEN: tl.constexpr,
    BLOCK_C: tl.constexpr, BLOCK_ROWS: tl.constexpr, BLOCK_HIDDEN: tl.constexpr,
) -> None:  # fmt: skip
    """Add what the MLP gives for some tokens, some hidden channels at a time."""
    dtype: tl.constexpr = weight1.dtype.element_ty
    row = tl.program_id(0) * BLOCK_ROWS + tl.arange(0, BLOCK_ROWS)
    channel = tl.arange(0, BLOCK_C)
    is_channel = channel < C
    mask = (row < num_rows)[:, None] & is_channel[None, :]
    at = row.to(tl.int64)[:, None] * C + channel[None, :]
    residual = tl.load(x + at, mask, other=0.0).to(tl.float32)
    y = _normalize(residual, norm_weight, norm_bias, eps, channel, is_channel, C).to(dtype)
    result = residual + _vector(bias2, channel, is_channel)
    for start in range(0, HIDDEN, BLOCK_HIDDEN):
        unit = start + tl.arange(0, BLOCK_HIDDEN)
        hidden = _dense(y, weight1, bias1, unit, channel, unit < HIDDEN, is_channel, C)
        hidden = 0.5 * hidden * (1 + tl.erf(hidden * SQRT_HALF))
        weight = weight2 + channel[None, :] * HIDDEN + unit[:, None]  # (units, C)
        weight = tl.load(weight, is_channel[None, :], other=0.0)
        result = tl.dot(hidden.to(dtype), weight, result, input_precision='ieee')
    tl.store(out + at, result.to(out.dtype.element_ty), mask)


@triton.jit
def _normalize(
    x: tl.tensor, weight: tl.tensor, bias: tl.tensor, eps: tl.tensor,
    channel: tl.tensor, is_channel: tl.tensor, C: tl.constexpr,
) -> Any:  # fmt: skip
    """Return LayerNorm of each row, and 0 where no channel is."""
    centred = tl.where(is_channel[None, :], x - (tl.sum(x, axis=1) / C)[:, None], 0.0)
    scale = tl.rsqrt(tl.sum(centred * centred, axis=1) / C + eps)[:, None]
    weight = _vector(weight, channel, is_channel)
    return centred * scale * weight + _vector(bias, channel, is_channel)


@triton.jit
def _dense(
    x: tl.tensor, weight: tl.tensor, bias: tl.tensor, feature: tl.tensor, channel: tl.tensor,
    is_feature: tl.tensor, is_channel: tl.tensor, C: tl.constexpr,
) -> Any:  # fmt: skip
    """Return some features of a linear layer of C inputs, in float32, and 0 where none is."""
    at = weight + feature[None, :] * C + channel[:, None]  # (C, features)
    mask = is_channel[:, None] & is_feature[None, :]
    result = tl.dot(x, tl.load(at, mask, other=0.0), input_precision='ieee')
    return result + _vector(bias, feature, is_feature)


@triton.jit
def _vector(pointer: tl.tensor, at: tl.tensor, mask: tl.tensor) -> Any:
    return tl.load(pointer + at, mask, other=0.0).to(tl.float32)[None, :]
