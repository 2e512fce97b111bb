"""What every token mixer takes and gives.

Shape suffixes: B batch, L tokens, M tokens of whole windows (:mod:`..order`), C channels.
"""

from abc import abstractmethod
from dataclasses import dataclass
from typing import NamedTuple

import torch
from mmengine.model import BaseModule
from torch import Tensor

from ..order import are_keys, is_recorded
from ..partition import Partition, PartitionAttention
from ..windows import WindowAttention


@dataclass(frozen=True)
class MixerSettings:
    """Settings from which a mixer picks what it needs.

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
    """How a mixer wants its tokens.

    Args:
        order_BL: Order in which the tokens are to stand, (B, L); None for raster order.
        gate_BL: Factor for the mixer's output, in raster order, (B, L); None for 1.
    """

    order_BL: Tensor | None
    gate_BL: Tensor | None = None


class Mixer(BaseModule):
    """Mixes the tokens of one block.

    ``arrange`` runs outside the block that may be recomputed in the backward pass, so it
    is the only place for randomness; ``forward`` is a pure function of its input.

    Attributes:
        window_tokens: Number of consecutive tokens, in the order that ``arrange`` chose, that
            mix among themselves; None if all may mix with all.
    """

    window_tokens: int | None = None

    def arrange(
        self, x_BLC: Tensor, inverse_BL: Tensor | None, grid: tuple[int, int]
    ) -> Arrangement:
        """Choose the order of the tokens: raster order unless a subclass has another.

        Args:
            x_BLC: Tokens of the residual stream in their present order, (B, L, C).
            inverse_BL: Inverse of that order, (B, L); None where it is raster order.
            grid: (H, W), with H * W == L.

        Returns:
            Order and gate.
        """
        return Arrangement(None)

    def rate(
        self, x_BLC: Tensor, inverse_BL: Tensor | None, grid: tuple[int, int]
    ) -> Tensor | None:
        """Return the importance by which ``arrange`` sorts; arguments as there.

        Returns:
            Importance in raster order, (B, L); None for mixers that do not sort.
        """
        return None

    @abstractmethod
    def weigh(
        self, x_BLC: Tensor, grid: tuple[int, int], order_BM: Tensor | None, query: int
    ) -> Tensor:
        """Return the attention weights of one token.

        Args:
            x_BLC: Normalized tokens in raster order, (B, L, C).
            grid: (H, W), with H * W == L.
            order_BM: The order that ``arrange`` chose, filled up to whole windows, (B, M); None
                for raster order.
            query: Index of the token in raster order.

        Returns:
            Weights of all tokens in raster order, (B, h, L); 0 for those that it does not see.
        """

    @abstractmethod
    def forward(self, x_BMC: Tensor, grid: tuple[int, int]) -> Tensor:
        """Mix tokens.

        Args:
            x_BMC: Normalized tokens in the order that ``arrange`` chose, filled up to whole
                windows, (B, M, C), or some of these windows.
            grid: (H, W), with H * W == L.

        Returns:
            Mixed tokens in the same sequence, (B, M, C).
        """

    def mixes_in_place(self, x_BLC: Tensor) -> bool:
        """Return whether :meth:`mix_in_place` serves tokens like these.

        Args:
            x_BLC: Tokens, (B, L, C).
        """
        return True

    def mix_in_place(self, x_BLC: Tensor, grid: tuple[int, int], order_BM: Tensor | None) -> Tensor:
        """Mix tokens that stay in raster order.

        Args:
            x_BLC: Normalized tokens in raster order, (B, L, C).
            grid: (H, W), with H * W == L.
            order_BM: The order that ``arrange`` chose, filled up to whole windows, (B, M); None
                for raster order.

        Returns:
            Mixed tokens in raster order, (B, L, C).
        """
        return self(x_BLC, grid)


class OrderedWindows(Mixer):
    """Attention inside windows of the order that a subclass chooses in ``arrange``.

    Args:
        settings: Its settings.
    """

    window_tokens: int

    def __init__(self, settings: MixerSettings) -> None:
        super().__init__()
        self.window_tokens = settings.window_size**2
        self.attn = WindowAttention(settings.embed_dims, settings.num_heads, self.window_tokens)

    def forward(self, x_BMC: Tensor, grid: tuple[int, int]) -> Tensor:
        """Attend inside windows; see :meth:`Mixer.forward`."""
        if not is_recorded():
            return self.attn(x_BMC)
        num_tokens, num_slots = grid[0] * grid[1], x_BMC.shape[1]
        return self.attn(x_BMC, are_keys(num_tokens, num_slots, self.window_tokens, x_BMC.device))

    def weigh(
        self, x_BLC: Tensor, grid: tuple[int, int], order_BM: Tensor | None, query: int
    ) -> Tensor:
        """Weigh the tokens of the query's window; see :meth:`Mixer.weigh`."""
        assert order_BM is not None  # each subclass has an order
        batch_size, num_tokens, _ = x_BLC.shape
        samples = torch.arange(batch_size, device=x_BLC.device)
        # A token that is repeated to fill the last window is a query in its first place only.
        place_B = (order_BM[:, :num_tokens] == query).int().argmax(1)
        windows_BWN = order_BM.unflatten(1, (-1, min(self.window_tokens, num_tokens)))
        window_tokens = windows_BWN.shape[2]
        tokens_BN = windows_BWN[samples, place_B // window_tokens]
        x_BNC = x_BLC[samples.unsqueeze(1), tokens_BN]
        weights_BhN = self.attn.weigh(x_BNC, place_B % window_tokens)
        weights_BhL = weights_BhN.new_zeros(batch_size, weights_BhN.shape[1], num_tokens)
        return weights_BhL.scatter(2, tokens_BN.unsqueeze(1).expand_as(weights_BhN), weights_BhN)

    def mixes_in_place(self, x_BLC: Tensor) -> bool:
        """Return whether there is a kernel for it; see :meth:`Mixer.mixes_in_place`."""
        return self.attn.attends_in_place(x_BLC)

    def mix_in_place(self, x_BLC: Tensor, grid: tuple[int, int], order_BM: Tensor | None) -> Tensor:
        """Attend inside windows; see :meth:`Mixer.mix_in_place`."""
        assert order_BM is not None  # each subclass has an order
        return self.attn.attend_in_place(x_BLC, order_BM)


class PartitionedTokens(Mixer):
    """Attention inside the groups of the partition that a subclass chooses for a grid."""

    attn: PartitionAttention

    @abstractmethod
    def partition(self, grid: tuple[int, int]) -> Partition:
        """Return the groups.

        Args:
            grid: (H, W).
        """

    def forward(self, x_BLC: Tensor, grid: tuple[int, int]) -> Tensor:
        """Attend inside groups; see :meth:`Mixer.forward`."""
        return self.attn(x_BLC, self.partition(grid))

    def weigh(
        self, x_BLC: Tensor, grid: tuple[int, int], order_BM: Tensor | None, query: int
    ) -> Tensor:
        """Weigh the query's group; see :meth:`Mixer.weigh`."""
        return self.attn.weigh(x_BLC, self.partition(grid), query)
