"""What every token mixer takes and gives.

Shape suffixes: B batch, L tokens, K and M tokens of a sequence (:mod:`..order`), C channels.
"""

from abc import abstractmethod
from dataclasses import dataclass
from typing import NamedTuple

from mmengine.model import BaseModule
from torch import Tensor


@dataclass(frozen=True)
class MixerSettings:
    """Settings from which a mixer picks what it needs.

    Args:
        embed_dims: C.
        num_heads: Attention heads.
        window_size: Side of a window; a window holds ``window_size ** 2`` tokens.
        block: Index of the block in the whole network.
        importance: Importance map of IR-Win, ``'mean'`` or ``'cbam'``.
        eval_sampling: ``'fixed'`` or ``'random'`` windows of RS-Win in evaluation.
        seed: Seed of the fixed windows.
    """

    embed_dims: int
    num_heads: int
    window_size: int
    block: int
    importance: str
    eval_sampling: str
    seed: int


class Arrangement(NamedTuple):
    """How a mixer wants its tokens.

    Args:
        sequence_BM: Sequence in which the tokens are to stand, (B, M): an order, and behind it
            what :func:`..order.fill_windows` repeats; None for raster order.
        gate_BM: Factor for the mixer's output, in that sequence, (B, M); None for 1.
    """

    sequence_BM: Tensor | None
    gate_BM: Tensor | None = None


class Mixer(BaseModule):
    """Mixes the tokens of one block.

    ``arrange`` runs outside the block that may be recomputed in the backward pass, so it
    is the only place for randomness; ``forward`` is a pure function of its input.

    Attributes:
        window_tokens: Number of consecutive tokens of the sequence that mix among themselves;
            None if all may mix with all.
    """

    window_tokens: int | None = None

    @abstractmethod
    def arrange(
        self, x_BKC: Tensor, inverse_BL: Tensor | None, grid: tuple[int, int]
    ) -> Arrangement:
        """Choose the sequence of the tokens.

        Args:
            x_BKC: Tokens of the residual stream in their present order, (B, K, C).
            inverse_BL: Inverse of that order, (B, L); None where it is raster order.
            grid: (H, W), with H * W == L.

        Returns:
            Sequence and gate.
        """

    @abstractmethod
    def forward(self, x_BMC: Tensor, grid: tuple[int, int]) -> Tensor:
        """Mix tokens.

        Args:
            x_BMC: Normalized tokens in the sequence that ``arrange`` chose, (B, M, C), or
                whole windows of it.
            grid: (H, W), with H * W == L.

        Returns:
            Mixed tokens in the same sequence, (B, M, C).
        """
