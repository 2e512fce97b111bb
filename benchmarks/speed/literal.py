"""Algorithm 1 as the paper writes it, as a yardstick of speed.

Each block sorts twice and gathers twice, with the order repeated over all channels; the
attention itself is batched over windows and fused, linear layers are torch's own. It shares
the weights of the RSIRTransformer that it is made of, and gives the same results.

Shape suffixes: B batch, L tokens, C channels, N window tokens.

Source: arXiv 2304.06250, Algorithm 1.
"""

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from mmrsir.models import RSIRTransformer
from mmrsir.models.blocks import Block
from mmrsir.models.exporting import to_image
from mmrsir.models.mixers import ImportantRegionWindows
from mmrsir.models.windows import WindowAttention


class LiteralRSIR(nn.Module):
    """An RSIRTransformer whose blocks follow Algorithm 1 line by line.

    Args:
        model: The model; its importance map must be the mean, as in Algorithm 1.
    """

    def __init__(self, model: RSIRTransformer) -> None:
        super().__init__()
        self.model = model

    def forward(self, images: Tensor) -> tuple[Tensor, ...]:
        """Extract a feature pyramid; see :meth:`PyramidTransformer.forward`."""
        model = self.model
        outputs = []
        x_BLC, grid = model.patch_embed(images)
        for index, stage in enumerate(model.stages):
            if index > 0:
                x_BLC, grid = model.merging[index - 1](x_BLC, grid)
            if stage.peg is not None:
                x_BLC = stage.peg(x_BLC, grid)
            for block in stage.blocks:
                x_BLC = x_BLC + block.drop_path(_mix(block, x_BLC))
                x_BLC = x_BLC + block.ffn.dropout_layer(_transform(block, x_BLC))
            if index in model.out_indices:
                normed_BLC = getattr(model, f'norm{index}')(x_BLC)
                outputs.append(to_image(normed_BLC, grid).contiguous())
        return tuple(outputs)


def random_map(batch_size: int, num_tokens: int, device: torch.device) -> Tensor:
    """Draw the sampling map of RS-Win, (B, L)."""
    return torch.rand(batch_size, num_tokens, device=device)


def _mix(block: Block, x_BLC: Tensor) -> Tensor:
    """Shuffle the tokens, attend inside windows, restore the tokens."""
    batch_size, num_tokens, channels = x_BLC.shape
    with torch.no_grad():
        if isinstance(block.mixer, ImportantRegionWindows):
            map_BL = x_BLC.mean(dim=2)
        else:
            map_BL = random_map(batch_size, num_tokens, x_BLC.device)
    # Stable, as the order of equal tokens is to be that of the model.
    shuffle_BL = map_BL.argsort(dim=1, descending=True, stable=True)
    restore_BL = shuffle_BL.argsort(dim=1)
    normed_BLC = block.norm1(x_BLC)
    shuffled_BLC = normed_BLC.gather(1, shuffle_BL.unsqueeze(-1).repeat(1, 1, channels))
    attended_BLC = _attend(block.mixer.attn, shuffled_BLC)
    return attended_BLC.gather(1, restore_BL.unsqueeze(-1).repeat(1, 1, channels))


def _transform(block: Block, x_BLC: Tensor) -> Tensor:
    """Run the MLP of a block without its residual."""
    (first, *_), second, *_ = block.ffn.layers
    return _linear(second, F.gelu(_linear(first, block.norm2(x_BLC))))


def _linear(layer: nn.Linear, x_BLC: Tensor) -> Tensor:
    return F.linear(x_BLC, layer.weight, layer.bias)


def _attend(attn: WindowAttention, x_BLC: Tensor) -> Tensor:
    """Attend inside windows; tokens of the last, partial one to the last N tokens."""
    batch_size, num_tokens, channels = x_BLC.shape
    window = attn.window_tokens
    whole = num_tokens - num_tokens % window
    qkv = _linear(attn.qkv, x_BLC)
    windows = qkv[:, :whole].reshape(-1, window, 3 * channels)
    parts = [_products(attn, windows, windows).reshape(batch_size, whole, channels)]
    if whole < num_tokens:
        parts.append(_products(attn, qkv[:, whole:], qkv[:, -window:]))
    return _linear(attn.proj, torch.cat(parts, dim=1) if len(parts) > 1 else parts[0])


def _products(attn: WindowAttention, queries: Tensor, keys: Tensor) -> Tensor:
    """Attend from the query part of one (windows, n, 3C) tensor to the key part of another."""
    q, _, _ = queries.unflatten(-1, (3, attn.num_heads, -1)).permute(2, 0, 3, 1, 4)
    _, k, v = keys.unflatten(-1, (3, attn.num_heads, -1)).permute(2, 0, 3, 1, 4)
    return F.scaled_dot_product_attention(q, k, v).transpose(1, 2).flatten(2)
