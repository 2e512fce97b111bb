"""Importance maps, by which IR-Win sorts tokens.

The paper gives two: the channel mean (Algorithm 1) and a map "similar to CBAM" (Section 3.2; CBAM
is arXiv 1807.06521). Both use the residual stream, because right after a fresh LayerNorm the
channel mean of every token is 0.

Shape suffixes: B batch, L tokens, C channels, H W grid.
"""

from contextlib import nullcontext

import torch
import torch.nn.functional as F
from mmengine.model import BaseModule
from torch import Tensor, nn

from .exporting import to_image
from .order import permute


class MeanImportance(BaseModule):
    """Channel mean of each token, without a gradient (Algorithm 1)."""

    gates = False

    def forward(self, x_BLC: Tensor, inverse_BL: Tensor | None, grid: tuple[int, int]) -> Tensor:
        """Return the importance map.

        Args:
            x_BLC: Tokens of the residual stream in their current order, (B, L, C).
            inverse_BL: Inverse of that order; None if it is raster order.
            grid: (H, W), with H * W == L.

        Returns:
            Importance in raster order, at least float32, (B, L).
        """
        x_BLC = x_BLC.detach()
        # Half precision would tie many tokens.
        means_BL = x_BLC.mean(-1, dtype=torch.promote_types(x_BLC.dtype, torch.float32))
        return means_BL if inverse_BL is None else means_BL.gather(1, inverse_BL)


class CBAMImportance(BaseModule):
    """Spatial attention map of CBAM: channel max and mean, 7x7 convolution, sigmoid.

    A sort passes no gradient. Therefore the block also scales its attention output by this map
    (``gates``), and the convolution learns from that (our reading, docs/paper.md).
    """

    gates = True

    def __init__(self) -> None:
        super().__init__()
        self.conv = nn.Conv2d(2, 1, kernel_size=7, padding=3, bias=False)

    def forward(self, x_BLC: Tensor, inverse_BL: Tensor | None, grid: tuple[int, int]) -> Tensor:
        """Return the importance map; see :class:`MeanImportance`. It has a gradient."""
        dtype = torch.promote_types(x_BLC.dtype, torch.float32)
        pooled_BL2 = torch.stack([x_BLC.amax(-1).to(dtype), x_BLC.mean(-1, dtype=dtype)], dim=-1)
        if inverse_BL is not None:
            pooled_BL2 = permute(pooled_BL2, inverse_BL)
        pooled_B2HW = to_image(pooled_BL2, grid)
        # There is no autocast on meta, where costs are counted.
        device = x_BLC.device.type
        exact = nullcontext() if device == 'meta' else torch.autocast(device, enabled=False)
        with exact:
            return F.conv2d(pooled_B2HW, self.conv.weight.to(dtype), padding=3).sigmoid().flatten(1)


IMPORTANCE_MAPS: dict[str, type[MeanImportance] | type[CBAMImportance]] = {
    'mean': MeanImportance,
    'cbam': CBAMImportance,
}
