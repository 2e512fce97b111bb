"""Fixed orders: the random windows of evaluation, which depend on three numbers only.

A model keeps its orders in a cache. NumPy computes them, because torch's modes, transforms and
default device do not affect NumPy. So a cached order is always an ordinary tensor. A compiled or
exported graph holds orders as constants. If the length is known only when a graph runs, and in a
CUDA graph, torch's operators compute them.

Shape suffixes: L tokens.
"""

from collections import OrderedDict
from threading import Lock
from typing import Any

import numpy as np
import torch
from torch import Tensor

try:
    from torch.fx.experimental.symbolic_shapes import has_static_value
except ImportError:  # torch 2.7
    from torch.fx.experimental.symbolic_shapes import (  # type: ignore[assignment]
        is_concrete_int as has_static_value,
    )

# Modulo this prime x -> x**5 is one-to-one, and products fit into int64.
PRIME = 2**31 - 1
MULTIPLIER = 1_103_515_245
# The orders of RSIR-T for 800 x 1333 pixels take 0.9 MiB: these are about 140 such sizes.
MAX_CACHED_BYTES = 128 * 2**20


def fixed_order(seed: int, block: int, num_tokens: int, like: Tensor) -> Tensor:
    """Return the random order that a block uses in evaluation (our reading, docs/paper.md).

    It depends only on the three numbers, not on the global random state, the batch or the device.

    Args:
        seed: The model's seed.
        block: Index of the block in the whole network.
        num_tokens: L; symbolic in a graph for many sizes, a tensor under torch.jit's tracer.
        like: The tokens to order. The order is on their device.

    Returns:
        Order of one sample, int64, (L,). It may come from the cache: do not write to it.
    """
    if not _is_known(num_tokens, like.device):
        tokens_L = torch.arange(num_tokens, device=like.device)
        return scramble(tokens_L, seed, block, num_tokens).sort()[1]  # which ONNX has, too
    if torch.compiler.is_dynamo_compiling():
        return _constant_order(seed, block, num_tokens, like.device)
    if type(like) is not Tensor:  # of FakeTensorMode or an export: so is this one
        return torch.tensor(_make_order(seed, block, num_tokens), device=like.device)
    return _cache.get(seed, block, num_tokens, like.device)


def scramble(tokens_L: Any, seed: int, block: int, num_tokens: Any) -> Any:
    """Hash token indices one to one, so that sorting by the hash shuffles them.

    It uses only sums, products and remainders of integers, which are equal on every device and in
    ONNX.

    Args:
        tokens_L: ``arange(L)``, int64, of torch or NumPy.
        seed: The model's seed.
        block: Index of the block in the whole network.
        num_tokens: L.

    Returns:
        Hashes, all different, (L,).
    """
    keys_L = tokens_L
    for word in (num_tokens, block, seed % PRIME, seed // PRIME % PRIME):
        keys_L = (keys_L * MULTIPLIER + word) % PRIME
        squares_L = keys_L * keys_L % PRIME
        keys_L = squares_L * squares_L % PRIME * keys_L % PRIME
    return keys_L


def _is_known(num_tokens: Any, device: torch.device) -> bool:
    """Return whether a length is known now, and a tensor of that length may come from outside."""
    if isinstance(num_tokens, Tensor) or not has_static_value(num_tokens):
        return False
    if device.type != 'cuda' or torch.compiler.is_compiling():
        return True
    # A CUDA graph that is captured by hand reads the same memory for ever, and copies nothing
    # from the CPU.
    return not torch.cuda.is_current_stream_capturing()


@torch.compiler.assume_constant_result
def _constant_order(seed: int, block: int, num_tokens: int, device: torch.device) -> Tensor:
    """Return a fixed order that a compiler takes over into its graph."""
    return _cache.get(seed, block, num_tokens, device)


def _make_order(seed: int, block: int, num_tokens: int) -> np.ndarray:
    return scramble(np.arange(num_tokens), seed, block, num_tokens).argsort()


class OrderCache:
    """Keeps the fixed orders that were used last, up to a number of bytes."""

    def __init__(self, max_bytes: int) -> None:
        self.max_bytes = max_bytes
        self.num_bytes = 0
        self._orders: OrderedDict[tuple, Tensor] = OrderedDict()
        self._lock = Lock()

    def get(self, seed: int, block: int, num_tokens: int, device: torch.device) -> Tensor:
        """Return an order, int64, (L,); compute it at the first call."""
        # The memory of a forgotten tensor serves again on its own stream only, where all is in
        # order.
        stream = torch.cuda.current_stream(device).cuda_stream if device.type == 'cuda' else 0
        key = (seed, block, num_tokens, device, stream)
        with self._lock:
            if key in self._orders:
                self._orders.move_to_end(key)
                return self._orders[key]
        # A cached tensor must be usable in training too, whatever mode the first caller is in.
        with torch.inference_mode(False):
            order_L = torch.from_numpy(_make_order(seed, block, num_tokens)).to(device)
        if torch._C._functorch.is_functorch_wrapped_tensor(order_L):
            return order_L  # of the transform that surrounds this call
        with self._lock:
            if key not in self._orders:
                self._orders[key] = order_L
                self.num_bytes += order_L.nbytes
            while self.num_bytes > self.max_bytes:
                self.num_bytes -= self._orders.popitem(last=False)[1].nbytes
        return order_L

    def clear(self) -> None:
        """Forget all orders."""
        with self._lock:
            self._orders.clear()
            self.num_bytes = 0


_cache = OrderCache(MAX_CACHED_BYTES)
