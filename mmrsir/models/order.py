"""Token orders: the idea of the RSIR Transformer as pure functions of tensors.

An *order* is an integer tensor of shape (B, L) that names, for each place in a
sequence of L tokens, the token that stands there; tokens are named by their index in
raster order (row by row). ``None`` stands for raster order itself. With the order
``[[2, 0, 1]]`` the sequence reads ``token 2, token 0, token 1``, and windows of two
tokens would be ``{2, 0}`` and ``{1}``.

Shape suffixes: B batch, L tokens, C channels.

Source: arXiv 2304.06250, Sections 3.1 and 3.2, Algorithm 1.
"""

from functools import lru_cache
from typing import Any

import torch
from torch import Tensor


def random_order(batch_size: int, num_tokens: int, device: torch.device) -> Tensor:
    """Draw a uniformly random order for each sample (RS-Win, Section 3.1).

    The numbers come from the global generator of ``device``, so ``torch.manual_seed``
    reproduces them.

    Args:
        batch_size: B.
        num_tokens: L.
        device: Where the order is made.

    Returns:
        Order, int64, (B, L).
    """
    if device.type == 'cpu':  # no sort needed: about ten times faster than rand + argsort
        return torch.stack([torch.randperm(num_tokens) for _ in range(batch_size)])
    return torch.rand(batch_size, num_tokens, device=device).argsort(dim=1, stable=True)


@lru_cache(maxsize=128)
def fixed_order(seed: int, block: int, num_tokens: int, device: torch.device) -> Tensor:
    """Return the random order that a block uses in evaluation (our reading, docs/paper.md).

    It is drawn on the CPU from a generator of its own, hence depends on the arguments
    alone: not on the global random state, the batch or the device.

    Args:
        seed: The model's seed.
        block: Index of the block in the whole network.
        num_tokens: L.
        device: Where the order is put.

    Returns:
        Order of one sample, int64, (L,). It is cached: do not write to it.
    """
    mixed = ((seed * 1_000_003 + block) * 1_000_003 + num_tokens) % 2**63
    generator = torch.Generator().manual_seed(mixed)
    # A cached tensor must be usable in training too, whatever mode the first caller was in.
    with torch.inference_mode(False):
        return torch.randperm(num_tokens, generator=generator).to(device)


def importance_order(importance_BL: Tensor) -> Tensor:
    """Order tokens by importance, most important first (IR-Win, Section 3.2).

    Equally important tokens keep the order that they have in the map, and NaN sorts
    last, on every device.

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
    return torch.empty_like(order_BL).scatter_(1, order_BL, places)


def compose(inverse_BL: Tensor, target_BL: Tensor) -> Tensor:
    """Return the single permutation that leads from one order to another.

    Args:
        inverse_BL: Inverse of the order in which the tokens stand, (B, L).
        target_BL: Order in which they should stand, (B, L).

    Returns:
        Permutation, (B, L):
        ``permute(permute(x, order), compose(invert(order), target)) == permute(x, target)``.
    """
    return inverse_BL.gather(1, target_BL)


def permute(x_BLC: Tensor, order_BL: Tensor) -> Tensor:
    """Gather tokens along an order; the gradient gathers them back.

    Args:
        x_BLC: Tokens, (B, L, C).
        order_BL: A permutation of ``range(L)`` for each sample, (B, L); without a gradient
            also a part of one, (B, K).

    Returns:
        Tokens with ``out[b, i] == x[b, order[b, i]]``, (B, L, C) or (B, K, C).
    """
    if torch.is_grad_enabled() and x_BLC.requires_grad:
        return _Permute.apply(x_BLC, order_BL)
    return _gather_tokens(x_BLC, order_BL)


def _gather_tokens(x_BLC: Tensor, order_BL: Tensor) -> Tensor:
    """Gather whole rows of C channels: no index tensor over C."""
    batch_size, num_tokens, channels = x_BLC.shape
    first_row = torch.arange(batch_size, device=order_BL.device).unsqueeze(1) * num_tokens
    rows = (order_BL + first_row).flatten()
    gathered = x_BLC.reshape(batch_size * num_tokens, channels).index_select(0, rows)
    return gathered.view(*order_BL.shape, channels)


class _Permute(torch.autograd.Function):
    """Gather whose backward is a gather by the inverse, not a scatter-add."""

    @staticmethod
    def forward(ctx: Any, x_BLC: Tensor, order_BL: Tensor) -> Tensor:
        ctx.save_for_backward(order_BL)
        return _gather_tokens(x_BLC, order_BL)

    @staticmethod
    def backward(ctx: Any, grad_BLC: Tensor) -> tuple[Tensor, None]:
        (order_BL,) = ctx.saved_tensors
        return permute(grad_BLC, invert(order_BL)), None
