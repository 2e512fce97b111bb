"""Transformer block (Eq. 1) and the stage that carries the token order.

Algorithm 1 shuffles the tokens before each attention and restores them after it. All
else in a block acts on each token alone, so a stage moves its tokens straight from the
order of one block to the order of the next: one gather a block, and one back to raster
order at the end. The result is the same.

Shape suffixes: B batch, L tokens, C channels, H W grid.

Source: arXiv 2304.06250, Section 3.3, Eq. 1 and Algorithm 1.
"""

from collections.abc import Sequence

import torch
from mmcv.cnn.bricks import DropPath
from mmcv.cnn.bricks.transformer import FFN
from mmengine.model import BaseModule, ModuleList
from torch import Tensor, nn
from torch.utils.checkpoint import checkpoint

from .mixers import Mixer
from .order import compose, invert, permute

MLP_RATIO = 4


class Block(BaseModule):
    """Pre-norm residual block: ``x += mixer(LN(x))``, then ``x += MLP(LN(x))`` (Eq. 1).

    Args:
        mixer: Token mixer.
        embed_dims: C.
        drop_path_rate: Probability of dropping each residual branch of a sample.
        with_cp: Recompute activations in the backward pass to save memory.
    """

    def __init__(self, mixer: Mixer, embed_dims: int, drop_path_rate: float, with_cp: bool) -> None:
        super().__init__()
        self.with_cp = with_cp
        self.norm1 = nn.LayerNorm(embed_dims)
        self.mixer = mixer
        self.drop_path = DropPath(drop_path_rate)
        self.norm2 = nn.LayerNorm(embed_dims)
        self.ffn = FFN(
            embed_dims=embed_dims,
            feedforward_channels=MLP_RATIO * embed_dims,
            act_cfg=dict(type='GELU'),
            dropout_layer=dict(type='DropPath', drop_prob=drop_path_rate),
        )

    def forward(self, x_BLC: Tensor, gate_BL: Tensor | None, grid: tuple[int, int]) -> Tensor:
        """Run the block on tokens that stand in the order of its mixer.

        Args:
            x_BLC: Tokens, (B, L, C).
            gate_BL: Factor for the mixer's output, (B, L), or None.
            grid: (H, W), with H * W == L.

        Returns:
            Tokens in the same order, (B, L, C).
        """
        if self.with_cp and torch.is_grad_enabled():
            return checkpoint(self._forward, x_BLC, gate_BL, grid, use_reentrant=False)
        return self._forward(x_BLC, gate_BL, grid)

    def _forward(self, x_BLC: Tensor, gate_BL: Tensor | None, grid: tuple[int, int]) -> Tensor:
        mixed_BLC = self.mixer(self.norm1(x_BLC), grid)
        if gate_BL is not None:
            mixed_BLC = mixed_BLC * gate_BL.unsqueeze(-1).to(mixed_BLC.dtype)
        x_BLC = x_BLC + self.drop_path(mixed_BLC)
        return self.ffn(self.norm2(x_BLC), identity=x_BLC)


class PositionalEncodingGenerator(BaseModule):
    """Residual 3x3 depthwise convolution in raster order (PEG, arXiv 2102.10882).

    Args:
        embed_dims: C.
    """

    def __init__(self, embed_dims: int) -> None:
        # Scaled for the 9 inputs that an output has: generic rules count the other channels too.
        init = dict(type='Normal', layer='Conv2d', std=(2 / 9) ** 0.5)
        super().__init__(init_cfg=init)
        self.conv = nn.Conv2d(embed_dims, embed_dims, kernel_size=3, padding=1, groups=embed_dims)

    def forward(self, x_BLC: Tensor, grid: tuple[int, int]) -> Tensor:
        """Add to each token what surrounds it.

        Args:
            x_BLC: Tokens in raster order, (B, L, C).
            grid: (H, W), with H * W == L.

        Returns:
            Tokens in raster order, (B, L, C).
        """
        x_BCHW = x_BLC.transpose(1, 2).unflatten(2, grid)
        return x_BLC + self.conv(x_BCHW).flatten(2).transpose(1, 2)


class Stage(BaseModule):
    """Blocks at one resolution, with the optional position encoding at their entrance.

    Args:
        mixers: One a block.
        embed_dims: C.
        drop_path_rates: One a block.
        position: ``'peg'`` for a positional encoding at the entrance (our reading,
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
        """Run all blocks.

        Args:
            x_BLC: Tokens in raster order, (B, L, C).
            grid: (H, W), with H * W == L.

        Returns:
            Tokens in raster order, (B, L, C).
        """
        if self.peg is not None:
            x_BLC = self.peg(x_BLC, grid)

        inverse_BL = None  # raster order
        for block in self.blocks:
            order_BL, gate_BL = block.mixer.arrange(x_BLC, inverse_BL, grid)
            x_BLC = _move(x_BLC, inverse_BL, order_BL)
            inverse_BL = None if order_BL is None else invert(order_BL)
            x_BLC = block(x_BLC, gate_BL, grid)
        return _move(x_BLC, inverse_BL, None)


def _move(x_BLC: Tensor, inverse_BL: Tensor | None, target_BL: Tensor | None) -> Tensor:
    """Bring tokens from the order with this inverse to another; None is raster order."""
    if inverse_BL is None:
        return x_BLC if target_BL is None else permute(x_BLC, target_BL)
    return permute(x_BLC, inverse_BL if target_BL is None else compose(inverse_BL, target_BL))
