"""Transformer block (Eq. 1) and the stage that carries the token order.

Algorithm 1 shuffles the tokens before each attention and restores them after it. All
else in a block acts on each token alone, so a stage moves its tokens straight from the
order of one block to the order of the next: one gather a block, and one back to raster
order at the end. The result is the same. Where a stage has kernels that read the tokens of a
window where they stand (:mod:`.kernels`, on CUDA), none is moved at all.

For the same reason a block, once its tokens are moved, touches one window at a time.
Inference on the CPU takes large inputs through a whole block in chunks of windows that
stay in the cache.

Shape suffixes: B batch, L tokens, M tokens of whole windows (:mod:`.order`), C channels,
H W grid.

Source: arXiv 2304.06250, Section 3.3, Eq. 1 and Algorithm 1.
"""

from collections.abc import Iterator, Sequence

import torch
from mmcv.cnn.bricks import DropPath
from mmcv.cnn.bricks.transformer import FFN
from mmengine.model import BaseModule, ModuleList
from torch import Tensor, nn
from torch.utils.checkpoint import checkpoint

from .hooks import has_hooks
from .linear import LinearSequential
from .mixers import MIXERS, Mixer
from .order import compose, fill_windows, first_tokens, invert, permute, to_image
from .traces import BlockTrace
from .transforms import is_transformed

MLP_RATIO = 4
# Tokens times channels of a chunk: measured, docs/performance.md.
CHUNK_ELEMENTS = 400_000


class Block(BaseModule):
    """Pre-norm residual block: ``x += mixer(LN(x))``, then ``x += MLP(LN(x))`` (Eq. 1).

    There are four ways through it, with one result:

    - *plain*: the tokens are moved into the order of the mixer, all at once;
    - *indexed*: they stay in raster order, and the mixer's kernels read them through an index;
    - *chunked*: plain, but one chunk of windows after the other, in inference on the CPU;
    - *recomputed*: plain or indexed, and once more in the backward pass (``with_cp``).

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
        (_, *activation), _, dropout = self.ffn.layers  # without mmcv's subclass of nn.Linear
        self.ffn.layers = LinearSequential(
            LinearSequential(nn.Linear(embed_dims, MLP_RATIO * embed_dims), *activation),
            nn.Linear(MLP_RATIO * embed_dims, embed_dims),
            dropout,
        )

    def forward(
        self,
        x_BLC: Tensor,
        places_BM: Tensor | None,
        gate_BL: Tensor | None,
        grid: tuple[int, int],
        indexed: bool,
    ) -> Tensor:
        """Bring the tokens into the order of the mixer and run the block on them.

        Args:
            x_BLC: Tokens in their present order, (B, L, C).
            places_BM: Where the tokens of the mixer's windows stand, (B, M), or None.
            gate_BL: Factor for the mixer's output, in the order of the result, (B, L), or None.
            grid: (H, W), with H * W == L.
            indexed: The tokens stay in raster order.

        Returns:
            Tokens in the mixer's order, or in raster order, (B, L, C).
        """
        run = self._indexed if indexed else self._plain
        if self._is_recomputed(x_BLC):
            return checkpoint(run, x_BLC, places_BM, gate_BL, grid, use_reentrant=False)
        if not indexed and places_BM is not None and self._is_chunked(x_BLC):
            return self._chunked(x_BLC, places_BM, gate_BL, grid)
        return run(x_BLC, places_BM, gate_BL, grid)

    def _plain(
        self,
        x_BLC: Tensor,
        places_BM: Tensor | None,
        gate_BL: Tensor | None,
        grid: tuple[int, int],
        num_tokens: int | None = None,
    ) -> Tensor:
        """Run the block on all tokens, or on the windows of one chunk with so many tokens."""
        num_tokens = x_BLC.shape[1] if num_tokens is None else num_tokens
        x_BMC = x_BLC if places_BM is None else permute(x_BLC, places_BM)
        mixed_BMC = self.mixer(self.norm1(x_BMC), grid)
        # From here on without the tokens that were repeated to fill the last window.
        x_BLC, mixed_BLC = (first_tokens(tensor, num_tokens) for tensor in (x_BMC, mixed_BMC))
        return self._add(x_BLC, mixed_BLC, gate_BL)

    def _indexed(
        self,
        x_BLC: Tensor,
        places_BM: Tensor | None,
        gate_BL: Tensor | None,
        grid: tuple[int, int],
    ) -> Tensor:
        """Run the block on tokens in raster order."""
        mixed_BLC = self.mixer.mix_in_place(self.norm1(x_BLC), grid, places_BM)
        return self._add(x_BLC, mixed_BLC, gate_BL)

    def _chunked(
        self,
        x_BLC: Tensor,
        places_BM: Tensor,
        gate_BL: Tensor | None,
        grid: tuple[int, int],
    ) -> Tensor:
        """Run the block on one chunk of windows after the other."""
        assert self.mixer.window_tokens is not None  # _is_chunked
        out_BLC = torch.empty_like(x_BLC)
        for samples, tokens in _chunks(places_BM, x_BLC.shape[2], self.mixer.window_tokens):
            out = out_BLC[samples, tokens]
            places = places_BM[samples, tokens]
            gate = None if gate_BL is None else gate_BL[samples, tokens]
            out.copy_(self._plain(x_BLC[samples], places, gate, grid, out.shape[1]))
        return out_BLC

    def _add(self, x_BLC: Tensor, mixed_BLC: Tensor, gate_BL: Tensor | None) -> Tensor:
        """Add what the mixer gives to the residual stream, and what the MLP makes of the sum."""
        if gate_BL is not None:
            mixed_BLC = mixed_BLC * gate_BL.unsqueeze(-1).to(mixed_BLC.dtype)
        x_BLC = x_BLC + self.drop_path(mixed_BLC)
        return self.ffn(self.norm2(x_BLC), identity=x_BLC)

    def _is_recomputed(self, x_BLC: Tensor) -> bool:
        return self.with_cp and torch.is_grad_enabled() and not is_transformed(x_BLC)

    def _is_chunked(self, x_BLC: Tensor) -> bool:
        """Return whether chunks pay, and nobody sees that modules are called once a chunk."""
        return (
            self.mixer.window_tokens is not None
            and not self.training
            and _chunking_pays(x_BLC)
            and not any(has_hooks(module) for module in self.modules())
        )


def _chunking_pays(x_BLC: Tensor) -> bool:
    """Return whether an input is to be cut: on the CPU, without gradients, if it is large."""
    return (
        x_BLC.device.type == 'cpu'
        and not torch.is_grad_enabled()
        and not torch.compiler.is_compiling()
        and not torch.jit.is_tracing()
        and x_BLC.numel() > CHUNK_ELEMENTS
    )


def _chunks(places_BM: Tensor, channels: int, window_tokens: int) -> Iterator[tuple[slice, slice]]:
    """Cut whole windows of tokens into chunks of samples and tokens."""
    batch_size, length = places_BM.shape
    samples = max(1, CHUNK_ELEMENTS // (length * channels))
    windows = max(1, CHUNK_ELEMENTS // (samples * window_tokens * channels))
    for first in range(0, batch_size, samples):
        for start in range(0, length, windows * window_tokens):
            yield slice(first, first + samples), slice(start, start + windows * window_tokens)


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
        return x_BLC + self.conv(to_image(x_BLC, grid)).flatten(2).transpose(1, 2)


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

        indexed = all(block.mixer.mixes_in_place(x_BLC) for block in self.blocks)
        inverse_BL = None  # raster order
        for block in self.blocks:
            order_BL, gate_BL = block.mixer.arrange(x_BLC, inverse_BL, grid)
            places_BM = _places(inverse_BL, order_BL, block.mixer.window_tokens)
            if not indexed and order_BL is not None and gate_BL is not None:
                gate_BL = gate_BL.gather(1, order_BL)
            x_BLC = block(x_BLC, places_BM, gate_BL, grid, indexed)
            if not indexed:
                inverse_BL = None if order_BL is None else invert(order_BL)
        return x_BLC if inverse_BL is None else permute(x_BLC, inverse_BL)

    def trace(self, x_BLC: Tensor, grid: tuple[int, int], query: int) -> list[BlockTrace]:
        """Run all blocks as Algorithm 1 is written, and report what each of them does.

        Args:
            x_BLC: Tokens in raster order, (B, L, C).
            grid: (H, W), with H * W == L.
            query: Index of the token that is followed, in raster order.

        Returns:
            A report of each block.
        """
        if self.peg is not None:
            x_BLC = self.peg(x_BLC, grid)
        traces = []
        for block in self.blocks:
            mixer = block.mixer
            importance_BL = mixer.rate(x_BLC, None, grid)
            order_BL, gate_BL = mixer.arrange(x_BLC, None, grid)
            places_BM = _places(None, order_BL, mixer.window_tokens)
            weights_BhL = mixer.weigh(block.norm1(x_BLC), grid, places_BM, query)
            windows_BL = None
            if order_BL is not None:
                inverse_BL = invert(order_BL)
                if mixer.window_tokens is not None:
                    windows_BL = inverse_BL // mixer.window_tokens
                if gate_BL is not None:
                    gate_BL = gate_BL.gather(1, order_BL)
            x_BLC = block(x_BLC, places_BM, gate_BL, grid, indexed=False)
            if order_BL is not None:
                x_BLC = permute(x_BLC, inverse_BL)
            traces.append(
                BlockTrace(
                    mixer=next(name for name, one in MIXERS.items() if one is type(mixer)),
                    query=divmod(query, grid[1]),
                    weights_BhHW=weights_BhL.unflatten(2, grid),
                    windows_BHW=None if windows_BL is None else windows_BL.unflatten(1, grid),
                    importance_BHW=(
                        None if importance_BL is None else importance_BL.unflatten(1, grid)
                    ),
                    features_BCHW=to_image(x_BLC, grid),
                )
            )
        return traces


def _places(
    inverse_BL: Tensor | None, order_BL: Tensor | None, window_tokens: int | None
) -> Tensor | None:
    """Return where the tokens of an order stand in that with this inverse; None is raster order."""
    if order_BL is None:
        return inverse_BL
    sequence_BM = order_BL if window_tokens is None else fill_windows(order_BL, window_tokens)
    return sequence_BM if inverse_BL is None else compose(inverse_BL, sequence_BM)
