"""Transformer block (Eq. 1) and the stage that carries the token order.

Algorithm 1 shuffles the tokens before each attention and restores them after it. All
else in a block acts on each token alone, so a stage moves its tokens straight from the
order of one block to the order of the next: one gather a block, and one back to raster
order at the end. The result is the same.

For the same reason a block, once its tokens are moved, touches one window at a time.
Inference on the CPU takes large inputs through a whole block in chunks of windows that
stay in the cache.

Shape suffixes: B batch, L tokens, C channels, H W grid.

Source: arXiv 2304.06250, Section 3.3, Eq. 1 and Algorithm 1.
"""

from collections.abc import Sequence
from itertools import pairwise

import torch
from mmcv.cnn.bricks import DropPath
from mmcv.cnn.bricks.transformer import FFN
from mmengine.model import BaseModule, ModuleList
from torch import Tensor, nn
from torch.utils.checkpoint import checkpoint

from .mixers import Mixer
from .order import compose, invert, permute

MLP_RATIO = 4
# Tokens times channels of a chunk: some ten buffers of this size fill a core's cache.
CHUNK_ELEMENTS = 100_000


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

    def forward(
        self,
        x_BLC: Tensor,
        move_BL: Tensor | None,
        gate_BL: Tensor | None,
        grid: tuple[int, int],
    ) -> Tensor:
        """Bring the tokens into the order of the mixer and run the block on them.

        Args:
            x_BLC: Tokens, (B, L, C).
            move_BL: Permutation that leads to the mixer's order, (B, L), or None.
            gate_BL: Factor for the mixer's output, in that order, (B, L), or None.
            grid: (H, W), with H * W == L.

        Returns:
            Tokens in the mixer's order, (B, L, C).
        """
        if self.with_cp and torch.is_grad_enabled():
            return checkpoint(self._forward, x_BLC, move_BL, gate_BL, grid, use_reentrant=False)
        chunks = self._chunks(x_BLC)
        if len(chunks) == 1:
            return self._forward(x_BLC, move_BL, gate_BL, grid)
        out_BLC = torch.empty_like(x_BLC)
        for samples, tokens in chunks:
            gate = None if gate_BL is None else gate_BL[samples, tokens]
            if move_BL is None:
                out = self._forward(x_BLC[samples, tokens], None, gate, grid)
            else:
                out = self._forward(x_BLC[samples], move_BL[samples, tokens], gate, grid)
            out_BLC[samples, tokens] = out
        return out_BLC

    def _forward(
        self,
        x_BLC: Tensor,
        move_BL: Tensor | None,
        gate_BL: Tensor | None,
        grid: tuple[int, int],
    ) -> Tensor:
        if move_BL is not None:
            x_BLC = permute(x_BLC, move_BL)
        mixed_BLC = self.mixer(self.norm1(x_BLC), grid)
        if gate_BL is not None:
            mixed_BLC = mixed_BLC * gate_BL.unsqueeze(-1).to(mixed_BLC.dtype)
        x_BLC = x_BLC + self.drop_path(mixed_BLC)
        return self.ffn(self.norm2(x_BLC), identity=x_BLC)

    def _chunks(self, x_BLC: Tensor) -> list[tuple[slice, slice]]:
        """Cut an input into samples and windows; one chunk where cutting does not pay."""
        batch_size, num_tokens, channels = x_BLC.shape
        everything = [(slice(None), slice(None))]
        window = self.mixer.window_tokens
        if (
            window is None
            or self.training
            or torch.is_grad_enabled()
            or x_BLC.device.type != 'cpu'
            or torch.compiler.is_compiling()
            or torch.jit.is_tracing()
            or x_BLC.numel() <= CHUNK_ELEMENTS
        ):
            return everything
        samples = max(1, CHUNK_ELEMENTS // (num_tokens * channels))
        windows = max(1, CHUNK_ELEMENTS // (samples * window * channels))
        # The partial window at the end needs tokens of the whole one before it.
        last = max(0, num_tokens // window - 1) // windows
        borders = [index * windows * window for index in range(last + 1)] + [num_tokens]
        return [
            (slice(first, first + samples), slice(start, stop))
            for first in range(0, batch_size, samples)
            for start, stop in pairwise(borders)
        ]


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
            x_BLC = block(x_BLC, _move(inverse_BL, order_BL), gate_BL, grid)
            inverse_BL = None if order_BL is None else invert(order_BL)
        return x_BLC if inverse_BL is None else permute(x_BLC, inverse_BL)


def _move(inverse_BL: Tensor | None, target_BL: Tensor | None) -> Tensor | None:
    """Return the permutation from the order with this inverse to another; None is raster order."""
    if inverse_BL is None or target_BL is None:
        return inverse_BL if target_BL is None else target_BL
    return compose(inverse_BL, target_BL)
