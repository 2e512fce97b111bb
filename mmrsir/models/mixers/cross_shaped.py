"""Cross-shaped windows (CSWin): arXiv 2107.00652, Sections 3.2 and 3.3.

Shape suffixes: B batch, L tokens, C channels, G stripes, N tokens of a stripe, h heads, d head
dimension.
"""

from collections.abc import Iterator

import torch
from mmengine.model import BaseModule
from torch import Tensor, nn

from ...utils.errors import InvalidValueError
from ..linear import linear
from ..partition import Partition, attend, attention_weights, split_heads
from .base import Mixer, MixerSettings

STRIPE_WIDTHS = (1, 2)  # by stage; further stages have the window size


class CrossShapedWindows(Mixer):
    """Attention in horizontal stripes with half of the heads, in vertical ones with the others.

    If the number of heads is odd, the vertical stripes have one more. A stripe as wide as the grid
    is the whole grid.

    Raises:
        ValueError: There is only one head.
    """

    def __init__(self, settings: MixerSettings) -> None:
        super().__init__()
        if settings.num_heads < 2:
            raise InvalidValueError(
                f'num_heads[{settings.stage}]={settings.num_heads} must be at least 2 for the '
                "mixer 'cross_shaped': some heads have horizontal stripes, the others vertical ones"
            )
        stage = settings.stage
        wide = stage >= len(STRIPE_WIDTHS)
        self.stripe_width = settings.window_size if wide else STRIPE_WIDTHS[stage]
        self.qkv = nn.Linear(settings.embed_dims, 3 * settings.embed_dims)
        heads = settings.num_heads // 2, (settings.num_heads + 1) // 2
        # The channels of a part are those of its heads.
        head_dim = settings.embed_dims // settings.num_heads
        self.channels = [head_dim * number for number in heads]
        self.horizontal = StripeAttention(self.channels[0], heads[0])
        self.vertical = StripeAttention(self.channels[1], heads[1])
        self.proj = nn.Linear(settings.embed_dims, settings.embed_dims)

    def forward(self, x_BLC: Tensor, grid: tuple[int, int]) -> Tensor:
        """Attend inside stripes; see :meth:`Mixer.forward`."""
        attended = [
            attention(qkv_BLC3, stripes)
            for attention, qkv_BLC3, stripes in self._parts(x_BLC, grid)
        ]
        return linear(self.proj, torch.cat(attended, dim=-1))

    def attention_weights(
        self, x_BLC: Tensor, grid: tuple[int, int], order_BM: Tensor | None, query: int
    ) -> Tensor:
        """Return the weights in both stripes; see :meth:`Mixer.attention_weights`."""
        weights = [
            attention.attention_weights(qkv_BLC3, stripes, query)
            for attention, qkv_BLC3, stripes in self._parts(x_BLC, grid)
        ]
        return torch.cat(weights, dim=1)

    def _parts(
        self, x_BLC: Tensor, grid: tuple[int, int]
    ) -> Iterator[tuple['StripeAttention', Tensor, Partition]]:
        """Return the attention of horizontal and of vertical stripes, its input and the stripes."""
        height, width = grid
        across_BL3C, down_BL3C = (
            linear(self.qkv, x_BLC).unflatten(-1, (3, -1)).split(self.channels, dim=-1)
        )
        rows = Partition(grid, (min(self.stripe_width, height), width))
        columns = Partition(grid, (height, min(self.stripe_width, width)))
        yield self.horizontal, across_BL3C.flatten(2), rows
        yield self.vertical, down_BL3C.flatten(2), columns


class StripeAttention(BaseModule):
    """Attention inside stripes, plus a 3x3 depthwise convolution of the values in them (LePE).

    Args:
        channels: C, only of the heads with these stripes.
        num_heads: h, only those with these stripes.
    """

    def __init__(self, channels: int, num_heads: int) -> None:
        # PyTorch's own, as in the published code: generic rules count other channels too.
        super().__init__(init_cfg=dict(type='Uniform', layer='Conv2d', a=-1 / 3, b=1 / 3))
        self.num_heads = num_heads
        self.lepe = nn.Conv2d(channels, channels, kernel_size=3, padding=1, groups=channels)

    def forward(self, qkv_BLC3: Tensor, stripes: Partition) -> Tensor:
        """Attend, from queries, keys and values in raster order, (B, L, 3C), to (B, L, C)."""
        q_BGhNd, k_BGhNd, v_BGhNd = split_heads(qkv_BLC3, stripes, self.num_heads)
        attended_BGNC = attend(q_BGhNd, k_BGhNd, v_BGhNd, stripes.visible(qkv_BLC3.device))
        # Padded values are 0, as beyond the stripe.
        v_BGNC = v_BGhNd.transpose(2, 3).flatten(3)
        images = v_BGNC.flatten(0, 1).unflatten(1, stripes.window).permute(0, 3, 1, 2)
        lepe = self.lepe(images).permute(0, 2, 3, 1)
        return stripes.join(attended_BGNC + lepe.reshape(v_BGNC.shape))

    def attention_weights(self, qkv_BLC3: Tensor, stripes: Partition, query: int) -> Tensor:
        """Return the attention weights of one token, without LePE, (B, h, L)."""
        q_BGhNd, k_BGhNd, _ = split_heads(qkv_BLC3, stripes, self.num_heads)
        visible = stripes.visible(qkv_BLC3.device)
        return attention_weights(q_BGhNd, k_BGhNd, stripes, query, visible)
