"""The stage: blocks in turn, and the order of the tokens between them.

Algorithm 1 shuffles the tokens before each attention and restores them after it. Everything else
in a block acts on each token alone. Therefore a stage moves its tokens straight from the order of
one block to the order of the next: one gather a block, and one back to raster order at the end.
The result is the same. On CUDA, kernels can read the tokens of a window through an index
(:mod:`.kernels`). Then no token moves.

Shape suffixes: B batch, L tokens, M tokens of whole windows (:mod:`.order`), C channels,
H W grid.

Source: arXiv 2304.06250, Section 3.3 and Algorithm 1.
"""

from collections.abc import Sequence

from mmengine.model import BaseModule, ModuleList
from torch import Tensor, nn

from .blocks import Block
from .exporting import to_image
from .mixers import Arrangement, Mixer
from .order import compose, fill_windows, invert, permute


class PositionalEncodingGenerator(BaseModule):
    """Residual 3x3 depthwise convolution in raster order (PEG, arXiv 2102.10882)."""

    def __init__(self, embed_dims: int) -> None:
        # Scaled for the 9 inputs that an output has: generic rules count the other channels too.
        init = dict(type='Normal', layer='Conv2d', std=(2 / 9) ** 0.5)
        super().__init__(init_cfg=init)
        self.conv = nn.Conv2d(embed_dims, embed_dims, kernel_size=3, padding=1, groups=embed_dims)

    def forward(self, x_BLC: Tensor, grid: tuple[int, int]) -> Tensor:
        """Add an encoding of its neighbours to each token; tokens are in raster order."""
        return x_BLC + self.conv(to_image(x_BLC, grid)).flatten(2).transpose(1, 2)


class Stage(BaseModule):
    """Blocks at one resolution, with an optional positional encoding before them.

    Args:
        mixers: One for each block.
        embed_dims: C.
        drop_path_rates: One for each block.
        position: ``'peg'`` for a positional encoding before the blocks (our reading,
            docs/paper.md) or None.
        with_cp: Recompute the blocks' activations in the backward pass.
    """

    def __init__(
        self,
        mixers: Sequence[Mixer],
        embed_dims: int,
        drop_path_rates: Sequence[float],
        position: str | None,
        with_cp: bool,
    ) -> None:
        super().__init__()
        self.peg = PositionalEncodingGenerator(embed_dims) if position == 'peg' else None
        self.blocks = ModuleList(
            Block(mixer, embed_dims, rate, with_cp)
            for mixer, rate in zip(mixers, drop_path_rates, strict=True)
        )

    def forward(self, x_BLC: Tensor, grid: tuple[int, int]) -> Tensor:
        """Run all blocks on tokens in raster order, (B, L, C), and return them in that order."""
        if self.peg is not None:
            x_BLC = self.peg(x_BLC, grid)

        indexed = all(block.mixer.supports_indexed(x_BLC) for block in self.blocks)
        inverse_BL = None  # raster order
        for block in self.blocks:
            x_BLC, inverse_BL, _ = run_block(block, x_BLC, inverse_BL, grid, indexed)
        return x_BLC if inverse_BL is None else permute(x_BLC, inverse_BL)


def run_block(
    block: Block, x_BLC: Tensor, inverse_BL: Tensor | None, grid: tuple[int, int], indexed: bool
) -> tuple[Tensor, Tensor | None, Arrangement]:
    """Let the mixer choose its order, and run the block.

    Args:
        block: The block.
        x_BLC: Tokens in their current order, (B, L, C).
        inverse_BL: Inverse of that order, (B, L); None if it is raster order.
        grid: (H, W), with H * W == L.
        indexed: The tokens are in raster order and stay there.

    Returns:
        Tokens, (B, L, C); the inverse of their new order; what the mixer chose.
    """
    arrangement = block.mixer.arrange(x_BLC, inverse_BL, grid)
    order_BL, gate_BL = arrangement.order_BL, arrangement.gate_BL
    sequence_BM = window_sequence(block.mixer, order_BL)
    places_BM = _places(inverse_BL, sequence_BM)
    if not indexed and order_BL is not None and gate_BL is not None:
        gate_BL = gate_BL.gather(1, order_BL)
    x_BLC = block(x_BLC, places_BM, gate_BL, grid, indexed)
    if not indexed:
        inverse_BL = None if order_BL is None else invert(order_BL)
    return x_BLC, inverse_BL, arrangement


def window_sequence(mixer: Mixer, order_BL: Tensor | None) -> Tensor | None:
    """Return a mixer's order filled up to whole windows, (B, M)."""
    if order_BL is None or mixer.window_tokens is None:
        return order_BL
    return fill_windows(order_BL, mixer.window_tokens)


def _places(inverse_BL: Tensor | None, sequence_BM: Tensor | None) -> Tensor | None:
    """Return where the tokens of a sequence stand in the order with this inverse."""
    if sequence_BM is None:
        return inverse_BL  # back to raster order
    return sequence_BM if inverse_BL is None else compose(inverse_BL, sequence_BM)
