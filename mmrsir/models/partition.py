"""Partition of a token grid into groups, and attention inside the groups.

Some mixers have groups with a shape: windows, rows, columns, stripes, dilated grids. They differ
only in how they partition the grid. For example, take the grid of 2 x 4 tokens
``0 1 2 3 / 4 5 6 7`` and a window of 2 x 2. The groups are:

- plain: ``{0, 1, 4, 5}`` and ``{2, 3, 6, 7}``;
- dilated: ``{0, 2, 4, 6}`` and ``{1, 3, 5, 7}``;
- shifted cyclically by one column: ``{1, 2, 5, 6}`` and ``{3, 0, 7, 4}``, where a mask keeps 3 and
  0 apart.

If windows do not fill the grid, it is padded below and on the right. Padded tokens are no keys,
and their output is dropped.

Shape suffixes: B batch, L tokens, C channels, G groups, N tokens of a group, h heads, d head
dimension, K keys.
"""

from dataclasses import dataclass

import torch
import torch.nn.functional as F
from mmengine.model import BaseModule
from torch import Tensor, nn

from .linear import linear
from .modes import is_exporting
from .windows import fused_attention, query_weights

# Of Swin's published code.
BIAS_STD = 0.02


@dataclass(frozen=True)
class Partition:
    """Groups of a grid's tokens: windows next to each other, or interleaved.

    Args:
        grid: (H, W), with H * W == L.
        window: (rows, columns) of tokens of a group, N in all.
        shift: (rows, columns) by which the windows move down and to the right, cyclically. Each is
            smaller than the window, and 0 along a side with only one window.
        dilated: The tokens of a group lie evenly spread over the grid, not next to each other.
    """

    grid: tuple[int, int]
    window: tuple[int, int]
    shift: tuple[int, int] = (0, 0)
    dilated: bool = False

    @property
    def counts(self) -> tuple[int, int]:
        """Groups along each side of the grid, G in all."""
        (height, width), (rows, columns) = self.grid, self.window
        return -(-height // rows), -(-width // columns)

    @property
    def padding(self) -> tuple[int, int]:
        """Rows and columns by which the grid is padded."""
        (height, width), (rows, columns), (down, across) = self.grid, self.window, self.counts
        return rows * down - height, columns * across - width

    def split(self, x_BLC: Tensor) -> Tensor:
        """Bring tokens, (B, L, C), into groups, (B, G, N, C); padded ones are 0."""
        (rows, columns), (down, across) = self.window, self.counts
        image = x_BLC.unflatten(1, self.grid)
        if any(self.padding):
            image = F.pad(image, (0, 0, 0, self.padding[1], 0, self.padding[0]))
        if any(self.shift):
            image = image.roll((-self.shift[0], -self.shift[1]), dims=(1, 2))
        if self.dilated:
            sides = image.unflatten(2, (columns, across)).unflatten(1, (rows, down))
            groups = sides.permute(0, 2, 4, 1, 3, 5)
        else:
            sides = image.unflatten(2, (across, columns)).unflatten(1, (down, rows))
            groups = sides.permute(0, 1, 3, 2, 4, 5)
        return groups.flatten(3, 4).flatten(1, 2)

    def join(self, x_BGNC: Tensor) -> Tensor:
        """Bring tokens back into raster order, without padded ones; the inverse of `split`."""
        groups = x_BGNC.unflatten(2, self.window).unflatten(1, self.counts)
        sides = groups.permute((0, 3, 1, 4, 2, 5) if self.dilated else (0, 1, 3, 2, 4, 5))
        image = sides.flatten(3, 4).flatten(1, 2)
        if any(self.shift):
            image = image.roll(self.shift, dims=(1, 2))
        return image[:, : self.grid[0], : self.grid[1]].flatten(1, 2)

    def visible(self, device: torch.device) -> Tensor | None:
        """Return whether a query sees a key of its group, (G, 1, N, N); None if all see all.

        Padded tokens see each other, so that no softmax is over nothing.
        """
        if not any(self.padding) and not any(self.shift):
            return None
        # Only tokens with equal labels see each other: those which a shift has brought beside
        # tokens of the other end of the grid are apart, and so are padded ones.
        sides = []
        for side, pad, shift in zip(self.grid, self.padding, self.shift, strict=True):
            places = torch.arange(side + pad, device=device)
            sides.append((places < shift).int() + 4 * (places >= side).int())
        labels_1LC = (sides[0].unsqueeze(1) + 2 * sides[1]).reshape(1, -1, 1)
        grid = sides[0].shape[0], sides[1].shape[0]
        padded = Partition(grid, self.window, self.shift, self.dilated)
        labels_GN = padded.split(labels_1LC)[0, :, :, 0]
        return (labels_GN.unsqueeze(2) == labels_GN.unsqueeze(1)).unsqueeze(1)


class PartitionAttention(BaseModule):
    """Multi-head self-attention inside the groups of a partition.

    Args:
        embed_dims: C.
        num_heads: h; it divides C.
        bias_window: (rows, columns) of the groups, for a learned bias of each head that depends
            on where a key stands relative to a query (Swin, arXiv 2103.14030, Eq. 4); None for
            no bias.
    """

    relative_position_bias_table: nn.Parameter | None

    def __init__(
        self, embed_dims: int, num_heads: int, bias_window: tuple[int, int] | None = None
    ) -> None:
        super().__init__()
        self.num_heads = num_heads
        self.qkv = nn.Linear(embed_dims, 3 * embed_dims)
        self.proj = nn.Linear(embed_dims, embed_dims)
        self.bias_window = bias_window
        table = None
        if bias_window is not None:
            rows, columns = bias_window
            table = nn.Parameter(torch.empty((2 * rows - 1) * (2 * columns - 1), num_heads))
            nn.init.trunc_normal_(table, std=BIAS_STD)
        self.register_parameter('relative_position_bias_table', table)

    def init_weights(self) -> None:
        """Initialize the bias; no rule for layers reaches it."""
        super().init_weights()
        if self.relative_position_bias_table is not None:
            nn.init.trunc_normal_(self.relative_position_bias_table, std=BIAS_STD)

    def no_weight_decay(self) -> set[str]:
        """Return the names of the parameters that do not decay, as in Swin's recipe."""
        return {'relative_position_bias_table'}

    def forward(self, x_BLC: Tensor, partition: Partition) -> Tensor:
        """Attend inside groups of normalized tokens in raster order, (B, L, C)."""
        q_BGhNd, k_BGhNd, v_BGhNd = split_heads(linear(self.qkv, x_BLC), partition, self.num_heads)
        attended_BGNC = attend(q_BGhNd, k_BGhNd, v_BGhNd, self._mask(partition, q_BGhNd))
        return linear(self.proj, partition.join(attended_BGNC))

    def attention_weights(self, x_BLC: Tensor, partition: Partition, query: int) -> Tensor:
        """Return :func:`attention_weights` of a token."""
        q_BGhNd, k_BGhNd, _ = split_heads(linear(self.qkv, x_BLC), partition, self.num_heads)
        return attention_weights(q_BGhNd, k_BGhNd, partition, query, self._mask(partition, q_BGhNd))

    def _mask(self, partition: Partition, like: Tensor) -> Tensor | None:
        """Return what :func:`attend` takes: bias, mask, both as one, or nothing."""
        visible_G1NN = partition.visible(like.device)
        table, window = self.relative_position_bias_table, self.bias_window
        if table is None or window is None:
            return visible_G1NN
        bias_1hNN = relative_bias(table, window, partition.window).unsqueeze(0).to(like.dtype)
        return (
            bias_1hNN if visible_G1NN is None else bias_1hNN.masked_fill(~visible_G1NN, -torch.inf)
        )


def split_heads(
    qkv_BLC3: Tensor, partition: Partition, num_heads: int
) -> tuple[Tensor, Tensor, Tensor]:
    """Bring queries, keys and values, side by side in (B, L, 3C), into groups and heads."""
    qkv_BGN = partition.split(qkv_BLC3).unflatten(-1, (3, num_heads, -1))
    q_BGhNd, k_BGhNd, v_BGhNd = qkv_BGN.permute(3, 0, 1, 4, 2, 5).unbind(0)
    return q_BGhNd, k_BGhNd, v_BGhNd


def attend(
    q_BGhNd: Tensor, k_BGhKd: Tensor, v_BGhKd: Tensor, mask_GhNK: Tensor | None = None
) -> Tensor:
    """Attend inside groups.

    Args:
        q_BGhNd: Queries, (B, G, h, N, d).
        k_BGhKd: Keys, (B, G, h, K, d).
        v_BGhKd: Values, (B, G, h, K, d).
        mask_GhNK: What is added to the scores, or whether a query sees a key,
            (G or 1, h or 1, N, K).

    Returns:
        Attention output, heads side by side, (B, G, N, C).
    """
    batch_size, groups, heads = q_BGhNd.shape[:3]
    # The fused kernels take four dimensions. Groups stand beside the samples; where each has a
    # mask of its own beside the heads, so that one mask is enough for all samples.
    dim = 0 if mask_GhNK is None or mask_GhNK.shape[0] == 1 else 1
    q, k, v = (part.flatten(dim, dim + 1) for part in (q_BGhNd, k_BGhKd, v_BGhKd))
    if mask_GhNK is None or dim == 0:
        joined = fused_attention(q, k, v, mask_GhNK)
    else:
        mask = mask_GhNK.expand(-1, heads, -1, -1).flatten(0, 1)
        joined = fused_attention(q, k, v, mask)
    sizes = (batch_size, groups) if dim == 0 else (groups, heads)
    return joined.unflatten(dim, sizes).transpose(2, 3).flatten(3)


def attention_weights(
    q_BGhNd: Tensor,
    k_BGhNd: Tensor,
    partition: Partition,
    query: int,
    mask_GhNN: Tensor | None = None,
) -> Tensor:
    """Return the attention weights of one token, named by its index in raster order.

    Returns:
        Weights of all tokens in raster order, (B, h, L); 0 for those that it does not see.
    """
    num_tokens = partition.grid[0] * partition.grid[1]
    numbers_1L1 = torch.arange(1, num_tokens + 1, device=q_BGhNd.device).reshape(1, -1, 1)
    numbers_GN = partition.split(numbers_1L1)[0, :, :, 0]  # padded tokens have 0
    group, place = (numbers_GN == query + 1).nonzero()[0].tolist()
    mask_hN = None
    if mask_GhNN is not None:
        mask_hN = mask_GhNN[group if len(mask_GhNN) > 1 else 0, :, place]
    weights_BhN = query_weights(q_BGhNd[:, group, :, place], k_BGhNd[:, group], mask_hN)
    weights_BhL = weights_BhN.new_zeros(*weights_BhN.shape[:2], num_tokens + 1)
    # Padded tokens, of weight 0, gather in front.
    return weights_BhL.index_add(2, numbers_GN[group], weights_BhN)[:, :, 1:]


def window_in(grid: tuple[int, int], window: tuple[int, int]) -> tuple[int, int]:
    """Return a window without the rows and columns that it has beyond the whole grid.

    They would be padded, for nothing. An export keeps them, for larger grids.
    """
    if is_exporting():
        return window
    return min(window[0], grid[0]), min(window[1], grid[1])


def relative_bias(table_Ph: Tensor, window: tuple[int, int], part: tuple[int, int]) -> Tensor:
    """Return the bias of each query and key in a window, or in a part of one.

    For a query, the biases of all keys are a window of the table: views take it, and no index is
    kept.

    Args:
        table_Ph: Bias of each relative position, row by row, ((2R - 1) * (2C - 1), h); the first
            is that of a key in the last row and column for a query in the first.
        window: (R, C), rows and columns.
        part: (r, c), with N = r * c tokens, at most those of the window.

    Returns:
        Bias, queries first, (h, N, N).
    """
    table = table_Ph.unflatten(0, [2 * side - 1 for side in window])
    for dim, (side, tokens) in enumerate(zip(window, part, strict=True)):
        # The nearest positions stand in the middle.
        table = table.narrow(dim, side - tokens, 2 * tokens - 1)
    # Row and column of the key, from behind; heads; row and column of the query.
    views = table.unfold(0, part[0], 1).unfold(1, part[1], 1)
    return views.flip(0, 1).permute(2, 3, 4, 0, 1).flatten(3, 4).flatten(1, 2)
