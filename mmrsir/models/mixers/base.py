"""The interface of a token mixer.

Shape suffixes: B batch, L tokens, M tokens of whole windows (:mod:`..order`), C channels, h heads,
N window tokens.
"""

from abc import abstractmethod
from dataclasses import dataclass
from typing import NamedTuple

import torch
from mmengine.model import BaseModule
from torch import Tensor

from ..order import permute, window_length
from ..partition import Partition, PartitionAttention
from ..windows import WindowAttention


@dataclass(frozen=True)
class MixerSettings:
    """Settings for a mixer, which uses those that it needs.

    Args:
        embed_dims: C.
        num_heads: Attention heads.
        window_size: Side of a window; a window holds ``window_size ** 2`` tokens.
        block: Index of the block in the whole network.
        stage: Index of its stage.
        index: Index of the block in its stage.
        importance: Importance map of IR-Win, ``'mean'`` or ``'cbam'``.
        eval_sampling: ``'fixed'`` or ``'random'`` windows of RS-Win in evaluation.
        seed: Seed of the fixed windows.
    """

    embed_dims: int
    num_heads: int
    window_size: int
    block: int
    stage: int
    index: int
    importance: str
    eval_sampling: str
    seed: int


class Arrangement(NamedTuple):
    """The order of the tokens that a mixer needs.

    Args:
        order_BL: The order, (B, L); None for raster order.
        gate_BL: Factor for the mixer's output, in raster order, (B, L); None for 1.
        importance_BL: The importance map that the order sorts by, in raster order, (B, L), for
            pictures; None for other orders.
    """

    order_BL: Tensor | None
    gate_BL: Tensor | None = None
    importance_BL: Tensor | None = None


class Mixer(BaseModule):
    """Mixes the tokens of one block. A subclass needs only :meth:`forward`.

    The backward pass may run ``forward`` again, but not ``arrange``. Therefore only ``arrange``
    may use random numbers; ``forward`` must be a pure function of its input.

    Attributes:
        window_tokens: Number of consecutive tokens, in the order of ``arrange``, that mix with
            each other; None if all tokens may mix.
    """

    window_tokens: int | None = None

    def arrange(
        self, x_BLC: Tensor, inverse_BL: Tensor | None, grid: tuple[int, int]
    ) -> Arrangement:
        """Choose the order of the tokens: raster order, unless a subclass overrides this.

        Args:
            x_BLC: Tokens of the residual stream in their current order, (B, L, C).
            inverse_BL: Inverse of that order, (B, L); None if it is raster order.
            grid: (H, W), with H * W == L.

        Returns:
            The order, its gate and its importance map.
        """
        return Arrangement(None)

    @abstractmethod
    def forward(self, x_BMC: Tensor, grid: tuple[int, int]) -> Tensor:
        """Mix tokens.

        Args:
            x_BMC: Normalized tokens in the order of ``arrange``, filled up to whole windows,
                (B, M, C), or only some of these windows.
            grid: (H, W), with H * W == L.

        Returns:
            Mixed tokens in the same sequence, (B, M, C).
        """

    def supports_indexed(self, x_BLC: Tensor) -> bool:
        """Return whether :meth:`mix_indexed` supports such tokens, (B, L, C)."""
        return True

    def mix_indexed(self, x_BLC: Tensor, grid: tuple[int, int], order_BM: Tensor | None) -> Tensor:
        """Mix tokens through an index; they stay in raster order.

        Args:
            x_BLC: Normalized tokens in raster order, (B, L, C).
            grid: (H, W), with H * W == L.
            order_BM: The order that ``arrange`` chose, filled up to whole windows, (B, M); None
                for raster order.

        Returns:
            Mixed tokens in raster order, (B, L, C).
        """
        return self(x_BLC, grid)

    def attention_weights(
        self, x_BLC: Tensor, grid: tuple[int, int], order_BM: Tensor | None, query: int
    ) -> Tensor:
        """Return how much each token contributes to the mixer's output for one token.

        Attention mixers return their attention weights. For any other mixer, this is the size of
        the gradient with respect to each token, as a share of the sum, as if of one head.

        Args:
            x_BLC: Normalized tokens in raster order, (B, L, C).
            grid: (H, W), with H * W == L.
            order_BM: The order that ``arrange`` chose, filled up to whole windows, (B, M); None
                for raster order.
            query: Index of the token in raster order.

        Returns:
            Weights of all tokens in raster order, (B, h, L); 0 for those without influence.
        """
        with torch.inference_mode(False), torch.enable_grad():
            x_BLC = x_BLC.detach().clone().requires_grad_()
            if order_BM is None:
                mixed_BC = self(x_BLC, grid)[:, query]
            else:
                order_BM = order_BM.clone()  # one of inference mode would not be kept for backward
                samples = torch.arange(len(x_BLC), device=x_BLC.device)
                place_B = _places_of(query, order_BM[:, : x_BLC.shape[1]])
                mixed_BC = self(permute(x_BLC, order_BM), grid)[samples, place_B]
            (gradient_BLC,) = torch.autograd.grad(mixed_BC.sum(), x_BLC)
        sizes_B1L = gradient_BLC.abs().sum(-1).unsqueeze(1)
        total_B11 = sizes_B1L.sum(-1, keepdim=True)
        return sizes_B1L / total_B11.clamp(min=torch.finfo(total_B11.dtype).tiny)


class OrderedWindows(Mixer):
    """Attention inside windows of a sequence; a subclass chooses its order in ``arrange``."""

    window_tokens: int

    def __init__(self, settings: MixerSettings) -> None:
        super().__init__()
        self.window_tokens = settings.window_size**2
        self.attn = WindowAttention(settings.embed_dims, settings.num_heads, self.window_tokens)

    def forward(self, x_BMC: Tensor, grid: tuple[int, int]) -> Tensor:
        """Attend inside windows; see :meth:`Mixer.forward`."""
        return self.attn(x_BMC, window_length(grid[0] * grid[1], self.window_tokens))

    def supports_indexed(self, x_BLC: Tensor) -> bool:
        """Return whether a kernel supports such tokens."""
        return self.attn.supports_indexed(x_BLC)

    def mix_indexed(self, x_BLC: Tensor, grid: tuple[int, int], order_BM: Tensor | None) -> Tensor:
        """Attend inside windows; see :meth:`Mixer.mix_indexed`."""
        assert order_BM is not None  # each subclass has an order
        return self.attn.attend_indexed(x_BLC, order_BM)

    def attention_weights(
        self, x_BLC: Tensor, grid: tuple[int, int], order_BM: Tensor | None, query: int
    ) -> Tensor:
        """Return the weights in the query's window; see :meth:`Mixer.attention_weights`."""
        assert order_BM is not None  # each subclass has an order
        batch_size, num_tokens, _ = x_BLC.shape
        samples = torch.arange(batch_size, device=x_BLC.device)
        place_B = _places_of(query, order_BM[:, :num_tokens])
        windows_BWN = order_BM.unflatten(1, (-1, min(self.window_tokens, num_tokens)))
        window_tokens = windows_BWN.shape[2]
        tokens_BN = windows_BWN[samples, place_B // window_tokens]
        x_BNC = x_BLC[samples.unsqueeze(1), tokens_BN]
        weights_BhN = self.attn.attention_weights(x_BNC, place_B % window_tokens)
        weights_BhL = weights_BhN.new_zeros(batch_size, weights_BhN.shape[1], num_tokens)
        return weights_BhL.scatter(2, tokens_BN.unsqueeze(1).expand_as(weights_BhN), weights_BhN)


def _places_of(query: int, order_BL: Tensor) -> Tensor:
    """Return where a token stands; a repeated one is a query in its first place only."""
    return (order_BL == query).int().argmax(1)


class PartitionedTokens(Mixer):
    """Attention inside groups of the grid; a subclass chooses them in ``partition``."""

    attn: PartitionAttention

    @abstractmethod
    def partition(self, grid: tuple[int, int]) -> Partition:
        """Return the groups of a grid, (H, W)."""

    def forward(self, x_BLC: Tensor, grid: tuple[int, int]) -> Tensor:
        """Attend inside groups; see :meth:`Mixer.forward`."""
        return self.attn(x_BLC, self.partition(grid))

    def attention_weights(
        self, x_BLC: Tensor, grid: tuple[int, int], order_BM: Tensor | None, query: int
    ) -> Tensor:
        """Return the weights in the query's group; see :meth:`Mixer.attention_weights`."""
        return self.attn.attention_weights(x_BLC, self.partition(grid), query)
