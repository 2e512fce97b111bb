"""Token orders: the idea of the RSIR Transformer as pure functions of tensors.

An *order* is an integer tensor of shape (B, L). It holds the index of the token at each place of a
sequence of L tokens. Indices count in raster order (row by row). ``None`` means raster order. With
the order ``[[2, 0, 1]]`` the sequence is ``token 2, token 0, token 1``.

A window is N consecutive tokens of a sequence. If N does not divide L, the last window repeats the
tokens before it. With the order above and windows of two, the sequence is ``2, 0, 1, 0`` and its
windows are ``{2, 0}`` and ``{1, 0}``. The output of a repeated token is dropped (our reading,
docs/paper.md).

Shape suffixes: B batch, L tokens, M tokens of a sequence with the repeated ones (M >= L),
C channels.

Source: arXiv 2304.06250, Sections 3.1 and 3.2, Algorithm 1.
"""

from typing import Any

import torch
from torch import Tensor

from .modes import is_exporting, is_transformed


def random_order(batch_size: int, num_tokens: int, device: torch.device) -> Tensor:
    """Sample a uniformly random order for each sample of a batch (RS-Win, Section 3.1).

    The numbers come from the global generator of ``device``, so ``torch.manual_seed``
    reproduces them.

    Returns:
        Order, int64, (B, L).
    """
    return torch.rand(batch_size, num_tokens, device=device).sort(dim=1)[1]


def importance_order(importance_BL: Tensor) -> Tensor:
    """Order tokens by importance, most important first (IR-Win, Section 3.2).

    Equally important tokens keep their order in the map. NaN sorts last. This holds on every
    device.

    Args:
        importance_BL: Importance of each token, any floating-point type, (B, L).

    Returns:
        Order, int64, (B, L).
    """
    # Ascending order of the negated map, as a descending sort would put NaN first.
    return importance_BL.detach().neg().argsort(dim=1, stable=True)


def invert(order_BL: Tensor) -> Tensor:
    """Return the place of each token in an order, without a second sort.

    Args:
        order_BL: Order, (B, L).

    Returns:
        Inverse order, (B, L): ``permute(permute(x, order), invert(order)) == x``.
    """
    places = torch.arange(order_BL.shape[1], device=order_BL.device).expand_as(order_BL)
    # Not of an expanded order's strides, and of as many samples as vmap has.
    inverse_BL = torch.empty_like(order_BL, memory_format=torch.contiguous_format)
    return inverse_BL.scatter_(1, order_BL, places)


def window_length(num_tokens: int, window_tokens: int) -> int:
    """Return the number of tokens of a window: N, or L if that is smaller."""
    if isinstance(num_tokens, Tensor):  # of torch.jit's tracer
        return num_tokens.clamp(max=window_tokens)
    if is_exporting():
        return torch.sym_min(num_tokens, window_tokens)
    # Not min(), which would stay in a compiler's sizes.
    return num_tokens if num_tokens < window_tokens else window_tokens


def fill_windows(order_BL: Tensor, window_tokens: int) -> Tensor:
    """Repeat tokens at the end of a sequence until it consists of whole windows.

    Args:
        order_BL: Order, or other values for its places, (B, L).
        window_tokens: Tokens of a window, N. A shorter sequence is one window.

    Returns:
        The sequence, (B, M): M is the next multiple of min(N, L).
    """
    num_tokens = order_BL.shape[1]
    window_tokens = window_length(num_tokens, window_tokens)
    num_windows = (num_tokens + window_tokens - 1) // window_tokens
    # An index rather than a slice: no size is then a special case to a compiler.
    slots_M = torch.arange(num_windows * window_tokens, device=order_BL.device)
    slots_M = torch.where(slots_M < num_tokens, slots_M, slots_M - window_tokens)
    return order_BL.index_select(1, slots_M)


def compose(inverse_BL: Tensor, target_BM: Tensor) -> Tensor:
    """Return the current places of the tokens of another sequence.

    Args:
        inverse_BL: Inverse of the current order, (B, L).
        target_BM: The other sequence, (B, M).

    Returns:
        Places, (B, M):
        ``permute(permute(x, order), compose(invert(order), target)) == permute(x, target)``.
    """
    return inverse_BL.gather(1, target_BM)


def permute(x_BLC: Tensor, places_BM: Tensor) -> Tensor:
    """Gather tokens from places; the gradient gathers them back.

    Args:
        x_BLC: Tokens, (B, L, C).
        places_BM: Where to take each token from, (B, M); the first L are a permutation of
            ``range(L)``. Without a gradient it may be any part of such a tensor.

    Returns:
        Tokens with ``out[b, i] == x[b, places[b, i]]``, (B, M, C).
    """
    if torch.is_grad_enabled() and x_BLC.requires_grad and not is_transformed(x_BLC):
        return _Permute.apply(x_BLC, places_BM)
    return _gather_tokens(x_BLC, places_BM)


def _gather_tokens(x_BLC: Tensor, places_BM: Tensor) -> Tensor:
    """Gather whole rows of C channels: no index tensor over C."""
    gathered = x_BLC.flatten(0, 1).index_select(0, _rows(places_BM, x_BLC.shape[1]).flatten())
    return gathered.unflatten(0, places_BM.shape)


def _rows(places_BM: Tensor, num_tokens: int) -> Tensor:
    """Number the places of all samples through, for sequences of L tokens."""
    first_row = torch.arange(places_BM.shape[0], device=places_BM.device).unsqueeze(1) * num_tokens
    return places_BM + first_row


class _Permute(torch.autograd.Function):
    """Gather whose backward is a gather by the inverse, not a scatter-add."""

    @staticmethod
    def forward(ctx: Any, x_BLC: Tensor, places_BM: Tensor) -> Tensor:
        ctx.save_for_backward(places_BM)
        ctx.num_tokens = x_BLC.shape[1]
        return _gather_tokens(x_BLC, places_BM)

    @staticmethod
    def backward(ctx: Any, grad_BMC: Tensor) -> tuple[Tensor, None]:
        (places_BM,) = ctx.saved_tensors
        num_tokens = ctx.num_tokens
        grad_BLC = _gather_tokens(grad_BMC, invert(places_BM[:, :num_tokens]))
        # Repeated tokens were taken a second time.
        rows = _rows(places_BM[:, num_tokens:], num_tokens).flatten()
        grad_BLC.flatten(0, 1).index_add_(0, rows, grad_BMC[:, num_tokens:].flatten(0, 1))
        return grad_BLC, None
