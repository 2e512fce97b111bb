"""Transformer block (Eq. 1).

A block mixes tokens inside one window at a time. On the CPU, inference therefore runs large
inputs through a whole block in chunks of windows that fit in the cache.

Shape suffixes: B batch, L tokens, M tokens of whole windows (:mod:`.order`), C channels,
H W grid.

Source: arXiv 2304.06250, Section 3.3, Eq. 1.
"""

from collections.abc import Iterator

import torch
from mmcv.cnn.bricks import DropPath
from mmcv.cnn.bricks.transformer import FFN
from mmengine.model import BaseModule
from torch import Tensor, nn
from torch.utils.checkpoint import checkpoint

from .exporting import first_tokens
from .fused_block import is_fused, run_fused
from .linear import LinearSequential, feed_forward
from .mixers import Mixer
from .modes import has_hooks, is_transformed
from .order import permute

MLP_RATIO = 4
# Tokens times channels of a chunk: measured, docs/performance.md.
CHUNK_ELEMENTS = 400_000


class Block(BaseModule):
    """Pre-norm residual block: ``x += mixer(LN(x))``, then ``x += MLP(LN(x))`` (Eq. 1).

    It has five paths with the same result:

    - *plain*: all tokens move into the order of the mixer;
    - *indexed*: the tokens stay in raster order, and the mixer's kernels read them by an index;
    - *fused*: indexed, in two kernels for the whole block (:mod:`.fused_block`), if you ask for it;
    - *chunked*: plain, one chunk of windows at a time, in inference on the CPU;
    - *recomputed*: plain or indexed, and again in the backward pass (``with_cp``).

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
            x_BLC: Tokens in their current order, (B, L, C).
            places_BM: Current places of the tokens of the mixer's windows, (B, M), or None.
            gate_BL: Factor for the mixer's output, in the order of the result, (B, L), or None.
            grid: (H, W), with H * W == L.
            indexed: The tokens stay in raster order.

        Returns:
            Tokens in the mixer's order, or in raster order, (B, L, C).
        """
        if indexed and places_BM is not None and is_fused(self, x_BLC, gate_BL):
            return run_fused(self, x_BLC, places_BM)
        run = self._indexed if indexed else self._plain
        if self.with_cp and torch.is_grad_enabled() and not is_transformed(x_BLC):
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
        mixed_BLC = self.mixer.mix_indexed(self.norm1(x_BLC), grid, places_BM)
        return self._add(x_BLC, mixed_BLC, gate_BL)

    def _chunked(
        self, x_BLC: Tensor, places_BM: Tensor, gate_BL: Tensor | None, grid: tuple[int, int]
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
        return feed_forward(self.ffn, self.norm2(x_BLC), x_BLC)

    def _is_chunked(self, x_BLC: Tensor) -> bool:
        """Return whether chunks pay: on the CPU, without gradients, where an input is large.

        Who has hooks here would see that modules are called once a chunk.
        """
        return (
            self.mixer.window_tokens is not None
            and not self.training
            and x_BLC.device.type == 'cpu'
            and not torch.is_grad_enabled()
            and not torch.compiler.is_compiling()
            and not torch.jit.is_tracing()
            and x_BLC.numel() > CHUNK_ELEMENTS
            and not any(has_hooks(module) for module in self.modules())
        )


def _chunks(places_BM: Tensor, channels: int, window_tokens: int) -> Iterator[tuple[slice, slice]]:
    """Cut whole windows of tokens into chunks of samples and tokens."""
    batch_size, length = places_BM.shape
    samples = max(1, CHUNK_ELEMENTS // (length * channels))
    windows = max(1, CHUNK_ELEMENTS // (samples * window_tokens * channels))
    for first in range(0, batch_size, samples):
        for start in range(0, length, windows * window_tokens):
            yield slice(first, first + samples), slice(start, start + windows * window_tokens)
