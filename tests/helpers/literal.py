"""Literal transcription of Algorithm 1 (arXiv 2304.06250), the reference of the tests.

Slow and plain on purpose: each block shuffles the tokens, attends inside windows, and
restores them; attention is written out for one window at a time.
"""

import torch
import torch.nn.functional as F

from mmrsir.models.mixers import ImportantRegionWindows
from mmrsir.models.order import random_order


def window_attention(x, attn):
    """Explicit attention; the last, partial window sees the last N tokens."""
    batch_size, num_tokens, channels = x.shape
    heads, size = attn.num_heads, attn.window_tokens
    head_dim = channels // heads
    qkv = F.linear(x, attn.qkv.weight, attn.qkv.bias)
    q, k, v = qkv.view(batch_size, num_tokens, 3, heads, head_dim).permute(2, 0, 3, 1, 4)
    out = torch.empty_like(q)
    for start in range(0, num_tokens, size):
        stop = min(start + size, num_tokens)
        first_key = max(0, stop - size)
        scores = q[:, :, start:stop] @ k[:, :, first_key:stop].transpose(-1, -2)
        weights = (scores / head_dim**0.5).softmax(-1)
        out[:, :, start:stop] = weights @ v[:, :, first_key:stop]
    out = out.permute(0, 2, 1, 3).reshape(batch_size, num_tokens, channels)
    return F.linear(out, attn.proj.weight, attn.proj.bias)


def rsir_block(x, block, sample_map, gate):
    """Eq. 1 with the attention of Algorithm 1."""
    channels = x.shape[2]
    ids_shuffle = torch.argsort(sample_map, dim=1, descending=True, stable=True)
    ids_restore = torch.argsort(ids_shuffle, dim=1, stable=True)
    normed = F.layer_norm(x, (channels,), block.norm1.weight, block.norm1.bias)
    shuffled = torch.gather(normed, 1, ids_shuffle.unsqueeze(-1).repeat(1, 1, channels))
    attended = window_attention(shuffled, block.mixer.attn)
    restored = torch.gather(attended, 1, ids_restore.unsqueeze(-1).repeat(1, 1, channels))
    if gate is not None:
        restored = restored * gate.unsqueeze(-1)
    x = x + restored
    normed = F.layer_norm(x, (channels,), block.norm2.weight, block.norm2.bias)
    fc1, fc2 = block.ffn.layers[0][0], block.ffn.layers[1]
    hidden = F.gelu(F.linear(normed, fc1.weight, fc1.bias))
    return x + F.linear(hidden, fc2.weight, fc2.bias)


def sample_map_of(order):
    """Map whose descending argsort is the given order."""
    batch_size, num_tokens = order.shape
    ranks = torch.arange(num_tokens, 0, -1, dtype=torch.float64).expand(batch_size, -1)
    return torch.empty(batch_size, num_tokens, dtype=torch.float64).scatter(1, order, ranks)


def cbam_map(x, grid, conv):
    """Spatial attention of CBAM."""
    pooled = torch.cat([x.max(dim=2, keepdim=True)[0], x.mean(dim=2, keepdim=True)], dim=2)
    pooled = pooled.permute(0, 2, 1).reshape(x.shape[0], 2, *grid)
    return torch.sigmoid(F.conv2d(pooled, conv.weight, padding=3)).flatten(1)


def rsir_forward(model, image):
    """Forward pass of a whole RSIRTransformer, its RS orders drawn as in training."""
    outputs = []
    x, grid = model.patch_embed(image)
    for index, stage in enumerate(model.stages):
        if index > 0:
            x, grid = model.merging[index - 1](x, grid)
        batch_size, num_tokens, channels = x.shape
        if stage.peg is not None:
            raster = x.transpose(1, 2).reshape(batch_size, channels, *grid)
            x = x + stage.peg.conv(raster).flatten(2).transpose(1, 2)
        for block in stage.blocks:
            gate = None
            if not isinstance(block.mixer, ImportantRegionWindows):
                sample_map = sample_map_of(random_order(batch_size, num_tokens, x.device))
            elif block.mixer.importance.gates:
                sample_map = gate = cbam_map(x, grid, block.mixer.importance.conv)
            else:
                sample_map = torch.mean(x, dim=2).detach()
            x = rsir_block(x, block, sample_map, gate)
        normed = getattr(model, f'norm{index}')(x)
        outputs.append(normed.transpose(1, 2).reshape(batch_size, channels, *grid))
    return tuple(outputs)
