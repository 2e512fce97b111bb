"""Self-attention inside windows whose tokens are read through an index, on NVIDIA GPUs.

Attention needs the tokens of a window together on the chip, but not in memory. These Triton
kernels read queries, keys and values of a window from the rows of its tokens, and write the output
to the same rows. One program computes one head of one whole window.

The backward pass computes the weights again instead of storing them. Each program writes to its
own rows, so the result is deterministic. A token that is repeated to fill the last window
(:mod:`.order`) gets its gradient from two windows. The second window writes its share to a spare
row, which is added afterwards.

Importing this needs Triton. For tests, the kernels run on the CPU with ``TRITON_INTERPRET=1``.
Triton multiplies bfloat16 wrongly there.

Shape suffixes: B batch, L tokens, M tokens of a sequence of whole windows, C channels, N window
tokens, h heads, d head dimension.

Source: arXiv 2304.06250, Algorithm 1. One window and head a program: arXiv 2501.06480.
"""

import math
import warnings
from functools import cache
from typing import Any

import torch
import triton
import triton.language as tl
from torch import Tensor

DTYPES = (torch.float32, torch.float16, torch.bfloat16)
# Here the backward pass in float32 takes 112 KiB of shared memory on compute capability 9.0 and
# 10.0, which have 227, and 80 on others, which have 99 or more. Twice as many tokens or
# dimensions take 144 to 224.
MAX_WINDOW_TOKENS = 64
MAX_HEAD_DIM = 64
MIN_TILE = 16  # rows and columns that tl.dot takes at least
LOG2_E = tl.constexpr(math.log2(math.e))


def supports(device: torch.device, dtype: torch.dtype, window_tokens: int, head_dim: int) -> bool:
    """Return whether :func:`attend_indexed` supports such an input.

    ``dtype`` is autocast's, if that is on. Not supported are other devices than NVIDIA GPUs with
    Triton, other types, and windows that do not fit on the chip.
    """
    return (
        dtype in DTYPES
        and window_tokens <= MAX_WINDOW_TOKENS
        and head_dim <= MAX_HEAD_DIM
        and _runs_triton(device)
    )


@torch.compiler.assume_constant_result  # torch.compile cannot ask the device
def _runs_triton(device: torch.device) -> bool:
    return _tried(device)


@cache
def _tried(device: torch.device) -> bool:
    """Try Triton on a device, once; warns where it should run and does not."""
    # ROCm, where this is untried, says cuda too.
    if device.type != 'cuda' or torch.version.cuda is None:
        return False
    if torch.cuda.get_device_capability(device) < (8, 0):
        return False
    try:
        _try(device)
    except Exception as error:
        warnings.warn(
            f'Triton does not run on {device}, so attention takes longer: '
            f'{type(error).__name__}: {error}',
            stacklevel=2,
        )
        return False
    return True


def _try(device: torch.device) -> None:
    """Launch a kernel on a single token: that needs a C compiler and a folder to write to."""
    place = torch.zeros(1, 1, dtype=torch.int64, device=device)
    attend_indexed(torch.zeros(1, 1, 3, device=device), place, 1, 1)


@torch.library.custom_op('mmrsir::attend_indexed', mutates_args=())
def attend_indexed(
    qkv_BLC3: Tensor, places_BM: Tensor, num_heads: int, window_tokens: int
) -> Tensor:
    """Attend inside windows without moving tokens; once differentiable.

    Args:
        qkv_BLC3: Queries, keys and values, each of all heads side by side, (B, L, 3C).
        places_BM: Row of the token at each place of the sequence of windows, int64, (B, M); M is
            a multiple of min(N, L). The first L are a permutation of ``range(L)``. The others
            contain no token twice. The tensor may be expanded.
        num_heads: h; it divides C.
        window_tokens: N.

    Returns:
        Attention output, (B, L, C), in the order of the input. In the last window, a repeated
        token is only key and value. Its output comes from its first place.
    """
    out_BLC = _attend_fake(qkv_BLC3, places_BM, num_heads, window_tokens)
    operands = (qkv_BLC3.contiguous(), out_BLC)
    _launch(_attend_kernel, operands, places_BM, num_heads, window_tokens)
    return out_BLC


@attend_indexed.register_fake
def _attend_fake(qkv_BLC3: Tensor, places_BM: Tensor, num_heads: int, window_tokens: int) -> Tensor:
    batch_size, num_tokens, channels = qkv_BLC3.shape
    return qkv_BLC3.new_empty(batch_size, num_tokens, channels // 3)


@torch.library.custom_op('mmrsir::attend_indexed_backward', mutates_args=())
def _gradient(
    grad_BLC: Tensor, qkv_BLC3: Tensor, places_BM: Tensor, num_heads: int, window_tokens: int
) -> Tensor:
    """Return the gradient of queries, keys and values, (B, L, 3C)."""
    batch_size, num_tokens, channels = qkv_BLC3.shape
    num_rows = batch_size * num_tokens
    # All tokens of all samples, then all repeated tokens of all samples.
    rows = qkv_BLC3.new_empty(places_BM.numel(), channels)
    operands = (qkv_BLC3.contiguous(), grad_BLC.contiguous(), rows, num_rows)
    _launch(_gradient_kernel, operands, places_BM, num_heads, window_tokens)
    gradient, spare = rows.tensor_split((num_rows,))
    if spare.numel() > 0:
        first_row = torch.arange(batch_size, device=places_BM.device).unsqueeze(1) * num_tokens
        gradient.index_add_(0, (places_BM[:, num_tokens:] + first_row).flatten(), spare)
    return gradient.view(qkv_BLC3.shape)


@_gradient.register_fake
def _(
    grad_BLC: Tensor, qkv_BLC3: Tensor, places_BM: Tensor, num_heads: int, window_tokens: int
) -> Tensor:
    return qkv_BLC3.new_empty(qkv_BLC3.shape)


def _setup_context(ctx: Any, inputs: tuple[Any, ...], output: Tensor) -> None:
    qkv_BLC3, places_BM, ctx.num_heads, ctx.window_tokens = inputs
    ctx.save_for_backward(qkv_BLC3, places_BM)


def _backward(ctx: Any, grad_BLC: Tensor) -> tuple[Tensor, None, None, None]:
    gradient = _gradient(grad_BLC, *ctx.saved_tensors, ctx.num_heads, ctx.window_tokens)
    return gradient, None, None, None


attend_indexed.register_autograd(_backward, setup_context=_setup_context)


def _launch(
    kernel: Any, operands: tuple[Any, ...], places_BM: Tensor, num_heads: int, window_tokens: int
) -> None:
    """Run a kernel on its operands, (B, L, 3C) first, for each head of each window."""
    qkv_BLC3 = operands[0]
    batch_size, num_tokens, channels = qkv_BLC3.shape
    window_tokens = min(window_tokens, num_tokens)
    windows = places_BM.shape[1] // window_tokens
    head_dim = channels // (3 * num_heads)
    tile = max(MIN_TILE, triton.next_power_of_2(window_tokens))
    head_tile = max(MIN_TILE, triton.next_power_of_2(head_dim))
    exact = not _allows_tf32()
    per_warp = _tokens_per_warp(kernel is _attend_kernel, qkv_BLC3.dtype, head_tile, exact)
    with torch.cuda.device_of(qkv_BLC3):  # Triton launches on the current device
        kernel[(batch_size * windows * num_heads,)](
            *operands,
            places_BM,
            *places_BM.stride(),
            num_tokens,
            windows,
            HEADS=num_heads,
            HEAD_DIM=head_dim,
            WINDOW_TOKENS=window_tokens,
            BLOCK_N=tile,
            BLOCK_D=head_tile,
            SCALE=head_dim**-0.5,
            PRECISION='ieee' if exact else 'tf32',
            num_warps=max(1, tile // per_warp),
        )


def _tokens_per_warp(forward: bool, dtype: torch.dtype, head_tile: int, exact: bool) -> int:
    """Return for how many tokens a program has a warp. Chosen by compiling, and not timed."""
    if dtype == torch.float32:
        # Exact products have no matrix instruction and with 16 run out of registers.
        return 8 if exact else 16
    # Two warps for 64 tokens let 14 programs run on a multiprocessor, four let 8 to 10. With larger
    # heads, and backward, fewer warps would run.
    return 32 if forward and head_tile == MIN_TILE else 16


def _allows_tf32() -> bool:
    """Return whether products of float32 may be rounded, in whichever way that was set."""
    try:
        return torch.backends.cuda.matmul.fp32_precision == 'tf32'
    except AttributeError:  # torch before 2.9, where it was set in one way only
        return torch.get_float32_matmul_precision() != 'highest'


# What changes with batch and image size must not compile a kernel anew.
@triton.jit(do_not_specialize=['sample_stride', 'num_tokens', 'windows'])
def _attend_kernel(
    qkv: tl.tensor, out: tl.tensor,
    places: tl.tensor, sample_stride: tl.tensor, slot_stride: tl.tensor,
    num_tokens: tl.tensor, windows: tl.tensor,
    HEADS: tl.constexpr, HEAD_DIM: tl.constexpr, WINDOW_TOKENS: tl.constexpr,
    BLOCK_N: tl.constexpr, BLOCK_D: tl.constexpr, SCALE: tl.constexpr, PRECISION: tl.constexpr,
) -> None:  # fmt: skip
    """Attend in one head of one window."""
    C: tl.constexpr = HEADS * HEAD_DIM
    _sample, slots, rows, columns, is_key, mask = _locate(
        places, sample_stride, slot_stride, num_tokens, windows,
        HEADS, HEAD_DIM, WINDOW_TOKENS, BLOCK_N, BLOCK_D,
    )  # fmt: skip
    at = qkv + rows * (3 * C) + columns
    q = tl.load(at, mask, other=0.0)
    k = tl.load(at + C, mask, other=0.0)
    v = tl.load(at + 2 * C, mask, other=0.0)
    weights = _softmax(tl.dot(q, tl.trans(k), input_precision=PRECISION) * SCALE, is_key)
    result = tl.dot(weights.to(v.dtype), v, input_precision=PRECISION)
    mask = mask & (slots < num_tokens)
    tl.store(out + rows * C + columns, result.to(out.dtype.element_ty), mask)


@triton.jit(do_not_specialize=['num_rows', 'sample_stride', 'num_tokens', 'windows'])
def _gradient_kernel(
    qkv: tl.tensor, grad_out: tl.tensor, grad: tl.tensor, num_rows: tl.tensor,
    places: tl.tensor, sample_stride: tl.tensor, slot_stride: tl.tensor,
    num_tokens: tl.tensor, windows: tl.tensor,
    HEADS: tl.constexpr, HEAD_DIM: tl.constexpr, WINDOW_TOKENS: tl.constexpr,
    BLOCK_N: tl.constexpr, BLOCK_D: tl.constexpr, SCALE: tl.constexpr, PRECISION: tl.constexpr,
) -> None:  # fmt: skip
    """Compute the gradients of q, k and v in one head of one window."""
    C: tl.constexpr = HEADS * HEAD_DIM
    sample, slots, rows, columns, is_key, mask = _locate(
        places, sample_stride, slot_stride, num_tokens, windows,
        HEADS, HEAD_DIM, WINDOW_TOKENS, BLOCK_N, BLOCK_D,
    )  # fmt: skip
    at = qkv + rows * (3 * C) + columns
    q = tl.load(at, mask, other=0.0)
    k = tl.load(at + C, mask, other=0.0)
    v = tl.load(at + 2 * C, mask, other=0.0)
    # What came out for a repeated token was dropped, so it sends back nothing.
    is_first = slots < num_tokens
    grad_result = tl.load(grad_out + rows * C + columns, mask & is_first, other=0.0)

    weights = _softmax(tl.dot(q, tl.trans(k), input_precision=PRECISION) * SCALE, is_key)
    grad_weights = tl.dot(grad_result, tl.trans(v), input_precision=PRECISION)
    mean = tl.sum(weights * grad_weights, axis=1)[:, None]
    grad_scores = (weights * (grad_weights - mean)).to(q.dtype)
    grad_q = tl.dot(grad_scores, k, input_precision=PRECISION) * SCALE
    grad_k = tl.dot(tl.trans(grad_scores), q, input_precision=PRECISION) * SCALE
    grad_v = tl.dot(tl.trans(weights.to(q.dtype)), grad_result, input_precision=PRECISION)

    spare_rows = num_rows + sample * (windows * WINDOW_TOKENS - num_tokens) + slots - num_tokens
    at = grad + tl.where(is_first, rows, spare_rows) * (3 * C) + columns
    tl.store(at, grad_q.to(grad.dtype.element_ty), mask)
    tl.store(at + C, grad_k.to(grad.dtype.element_ty), mask)
    tl.store(at + 2 * C, grad_v.to(grad.dtype.element_ty), mask)


@triton.jit
def _locate(
    places: tl.tensor, sample_stride: tl.tensor, slot_stride: tl.tensor,
    num_tokens: tl.tensor, windows: tl.tensor,
    HEADS: tl.constexpr, HEAD_DIM: tl.constexpr, WINDOW_TOKENS: tl.constexpr,
    BLOCK_N: tl.constexpr, BLOCK_D: tl.constexpr,
) -> tuple[Any, ...]:  # fmt: skip
    """Return the program's sample; slots and rows, (N, 1), columns and keys, (1, d or N); mask."""
    # The heads of a window run side by side: they share the cache lines of its tokens.
    window = tl.program_id(0) // HEADS
    head = tl.program_id(0) % HEADS
    sample = (window // windows).to(tl.int64)  # the batch may have more than 2**31 elements
    token = tl.arange(0, BLOCK_N)
    dim = tl.arange(0, BLOCK_D)
    is_token = token < WINDOW_TOKENS
    slots = window % windows * WINDOW_TOKENS + token
    at = places + sample * sample_stride + slots * slot_stride
    rows = sample * num_tokens + tl.load(at, is_token, other=0)
    mask = is_token[:, None] & (dim < HEAD_DIM)[None, :]
    columns = (head * HEAD_DIM + dim)[None, :]
    return sample, slots[:, None], rows[:, None], columns, is_token[None, :], mask


@triton.jit
def _softmax(scores: tl.tensor, is_key: tl.tensor) -> Any:
    """Return the softmax of each row over its keys, and 0 where no key is."""
    scores = tl.where(is_key, scores * LOG2_E, float('-inf'))
    powers = tl.exp2(scores - tl.max(scores, axis=1)[:, None])
    return powers * (1 / tl.sum(powers, axis=1))[:, None]
