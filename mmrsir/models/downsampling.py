"""Patch embedding and merging: from an image to tokens, then to fewer tokens with more channels.

Shape suffixes: B batch, L tokens, C channels, H W grid.

Source: docs/paper.md; ``'linear'`` is Swin's (arXiv 2103.14030).
"""

import torch
import torch.nn.functional as F
from mmcv.cnn.bricks.transformer import PatchEmbed, PatchMerging
from torch import Tensor, nn

from .exporting import to_image
from .modes import is_exporting

PATCH_SIZE = 4
DOWNSAMPLINGS = ('overlap', 'linear')
LAYER_NORM = dict(type='LN')


class PatchConvolution(PatchEmbed):
    """mmcv's patch embedding, also correct in bfloat16 for narrow images.

    On CPUs with AMX, torch 2.11 computes a strided convolution to a single column wrongly in
    bfloat16. There this layer pads zeros on the right, computes two columns and drops one. The
    convolution itself pads with zeros too, so the result is the same.
    """

    def forward(self, x: Tensor) -> tuple[Tensor, tuple[int, int]]:
        """Turn images or feature maps, (B, C, H, W), into tokens in raster order and their grid."""
        stride, width = self.projection.stride[1], x.shape[3]
        amp = torch.is_autocast_enabled('cpu')
        dtype = torch.get_autocast_dtype('cpu') if amp else x.dtype
        right = x.device.type != 'cpu' or dtype != torch.bfloat16
        if right or is_exporting() or width > stride:  # an export has no branches
            return super().forward(x)
        x_BLC, (height, _) = super().forward(F.pad(x, (0, stride + 1 - width)))
        return x_BLC[:, ::2], (height, 1)


class OverlapMerging(PatchConvolution):
    """Halve the grid and widen the channels with a 3x3 stride-2 convolution, then LayerNorm."""

    def __init__(self, in_channels: int, out_channels: int) -> None:
        super().__init__(
            in_channels, out_channels, kernel_size=3, stride=2, padding=1, norm_cfg=LAYER_NORM
        )

    def forward(  # type: ignore[override]
        self, x_BLC: Tensor, grid: tuple[int, int]
    ) -> tuple[Tensor, tuple[int, int]]:
        """Merge tokens in raster order; the grid becomes (ceil(H/2), ceil(W/2))."""
        return super().forward(to_image(x_BLC, grid))


def build_patch_embed(downsampling: str, in_channels: int, embed_dims: int) -> PatchConvolution:
    """Build the layer from images to tokens of the first stage."""
    size, padding = (7, 3) if downsampling == 'overlap' else (PATCH_SIZE, 'corner')
    return PatchConvolution(
        in_channels,
        embed_dims,
        kernel_size=size,
        stride=PATCH_SIZE,
        padding=padding,
        norm_cfg=LAYER_NORM,
    )


def build_merging(downsampling: str, width: int) -> nn.Module:
    """Build the layer from one stage to the next, which has twice as many channels."""
    merging = OverlapMerging if downsampling == 'overlap' else PatchMerging
    return merging(width, 2 * width)
