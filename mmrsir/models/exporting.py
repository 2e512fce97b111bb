"""Steps that an export needs in another form, to be valid for every batch and image size.

torch.export, torch.jit and ONNX record a single run. A branch, a view or a memory layout is then
valid only for the sizes of that run. Without an export, these functions run the plain form.

Shape suffixes: B batch, L tokens, M tokens of whole windows (:mod:`.order`), N window tokens,
C channels, H W grid.
"""

import torch
from torch import Tensor

from . import order
from .modes import is_exporting


def importance_order(importance_BL: Tensor) -> Tensor:
    """Return :func:`.order.importance_order`, by a sort that ONNX has."""
    if is_exporting() and torch.onnx.is_in_onnx_export():
        # Of equal keys, ONNX puts the one of the lower index first.
        return importance_BL.detach().neg().sort(dim=1)[1]
    return order.importance_order(importance_BL)


def first_tokens(x_BMC: Tensor, num_tokens: int) -> Tensor:
    """Return the first L tokens, without those that fill the last window, (B, L, C)."""
    if is_exporting() and not isinstance(num_tokens, int):
        return x_BMC.index_select(1, torch.arange(num_tokens, device=x_BMC.device))
    return x_BMC[:, :num_tokens]


def to_image(x_BLC: Tensor, grid: tuple[int, int]) -> Tensor:
    """View tokens in raster order as an image, (B, C, H, W) in channels-last layout.

    If the tokens were transposed first, a single image would have the strides of another layout,
    and convolutions would copy it (docs/performance.md).
    """
    image_BCHW = x_BLC.unflatten(1, grid).permute(0, 3, 1, 2)
    # Of a view the layout is looked up.
    return image_BCHW.contiguous() if is_exporting() else image_BCHW
