"""Weights of Swin Transformers for ``PyramidTransformer`` with Swin's shape.

Read are the names of Swin's own repository (arXiv 2103.14030), of timm, and of mmdet, mmseg and
mmpretrain. They differ in three things besides the names of layers:

- timm puts a patch merging at the begin of a stage, the others at the end of the one before;
- the four patches that are merged lie side by side in Swin's and timm's vector, as (column, row,
  channel); OpenMMLab and this package have (channel, row, column);
- Swin's and timm's classifiers have one norm, after the last stage.

Outputs are equal where windows fill the feature maps, as at 224 pixels. Elsewhere maps are padded:
Swin's tokens then see the padding, and those of this package do not. OpenMMLab's moves the windows
of a map of a single window too, as in the last stage at 224 pixels; Swin and this package do not.
"""

import re
from collections.abc import Mapping
from pathlib import Path
from typing import NamedTuple

from torch import Tensor

from ..utils.errors import InvalidValueError, UserError
from ..utils.files import write_whole
from .publishing import FORMATS
from .reading import read_checkpoint

# What does not go along: heads, and buffers that follow from the window's size.
_LEFT_OUT = re.compile(r'(.*\.)?(relative_position_index|attn_mask)$')
_STAGE = r'(?:layers|stages)[._](\d+)\.'
_BLOCK = rf'{_STAGE}blocks\.(\d+)\.'
_PARTS = {
    r'patch_embed\.(?:proj|projection)\.(\w+)': r'patch_embed.projection.\1',
    rf'{_BLOCK}attn\.(?:w_msa\.)?(.+)': r'stages.\1.blocks.\2.mixer.attn.\3',
    rf'{_BLOCK}(norm[12]\.\w+)': r'stages.\1.blocks.\2.\3',
    rf'{_BLOCK}(?:mlp\.fc1|ffn\.layers\.0\.0)\.(\w+)': r'stages.\1.blocks.\2.ffn.layers.0.0.\3',
    rf'{_BLOCK}(?:mlp\.fc2|ffn\.layers\.1)\.(\w+)': r'stages.\1.blocks.\2.ffn.layers.1.\3',
}
_MERGING = re.compile(rf'{_STAGE}downsample\.((?:norm|reduction)\.\w+)')
_LAST_NORM = re.compile(r'norm\.(\w+)')
_SECOND_SWIN = re.compile(r'.*\.(logit_scale|cpb_mlp\..*)')


class NoSwinError(UserError, ValueError):
    """A checkpoint is none of a Swin Transformer, or of one that cannot be taken over."""


class Conversion(NamedTuple):
    """Weights of a Swin Transformer by the names of ``PyramidTransformer``."""

    weights: dict[str, Tensor]
    left_out: list[str]  # keys of the checkpoint that do not go along, such as those of heads
    arch: dict[str, int | tuple[int, ...]]  # embed_dims, depths and num_heads
    window_size: int  # side of a window


def convert_swin(checkpoint: Mapping[str, Tensor]) -> Conversion:
    """Rename and reorder the weights of a Swin backbone, or of a model that has one.

    Returns:
        The weights for ``PyramidTransformer(arch, mixers=('shifted_window',),
        downsampling='linear', position=None, window_size=window_size)``. With
        ``mixers=('rs', 'ir')`` all but the bias of positions fit too.

    Raises:
        NoSwinError: These are no weights of a Swin Transformer, or those of Swin V2.
    """
    backbone = any(key.startswith('backbone.') for key in checkpoint)
    given, left_out = {}, []
    for key, value in checkpoint.items():
        if backbone and not key.startswith('backbone.'):
            left_out.append(key)
        elif not _LEFT_OUT.fullmatch(key):
            given[key.removeprefix('backbone.')] = value
    if any(map(_SECOND_SWIN.fullmatch, given)):
        raise NoSwinError(
            'these are weights of Swin V2; allowed: Swin V1, because the attention of V2 differs'
        )

    merging_stages = {int(m[1]) for m in map(_MERGING.fullmatch, given) if m}
    # OpenMMLab's layers are called stages; timm alone has no merging at the first stage.
    open_mmlab = any(key.startswith('stages') for key in given)
    first = 0 if 0 in merging_stages else 1
    weights = {}
    for key, value in given.items():
        merging = _MERGING.fullmatch(key)
        if merging:
            if not open_mmlab:
                value = _by_channel(value)
            weights[f'merging.{int(merging[1]) - first}.{merging[2]}'] = value
            continue
        pattern = next((one for one in _PARTS if re.fullmatch(one, key)), None)
        weights[re.sub(pattern, _PARTS[pattern], key) if pattern else key] = value
    return _finish(weights, left_out)


def _finish(found: Mapping[str, Tensor], left_out: list[str]) -> Conversion:
    """Read the network's shape from its weights, and leave out what it does not have."""
    table = re.compile(r'stages\.(\d+)\.blocks\.(\d+)\.mixer\.attn\.relative_position_bias_table')
    tables = {(int(m[1]), int(m[2])): found[m[0]] for m in map(table.fullmatch, found) if m}
    projection = found.get('patch_embed.projection.weight')
    if projection is None or not tables:
        raise NoSwinError(
            'these are not the weights of a Swin Transformer: they lack '
            + ('a patch embedding' if projection is None else 'the bias of relative positions')
        )
    if projection.shape[2:] != (4, 4):
        raise NoSwinError(
            f'its patches have {projection.shape[2]} x {projection.shape[3]} pixels; allowed: 4 x 4'
        )
    num_stages = 1 + max(stage for stage, _ in tables)
    ours = re.compile(r'(patch_embed|merging|stages)\..*|norm\d\..*')
    weights = {}
    for key, value in found.items():
        last = _LAST_NORM.fullmatch(key)
        if last:
            weights[f'norm{num_stages - 1}.{last[1]}'] = value
        elif ours.fullmatch(key):
            weights[key] = value
        else:
            left_out.append(key)
    return Conversion(
        weights,
        left_out,
        dict(
            embed_dims=projection.shape[0],
            depths=tuple(sum(stage == index for stage, _ in tables) for index in range(num_stages)),
            num_heads=tuple(tables[index, 0].shape[1] for index in range(num_stages)),
        ),
        window_size=(round(tables[0, 0].shape[0] ** 0.5) + 1) // 2,
    )


def _by_channel(merged: Tensor) -> Tensor:
    """Turn the order (column, row, channel) of the last dimension into (channel, row, column)."""
    channels = merged.shape[-1] // 4
    by_place = merged.reshape(*merged.shape[:-1], 2, 2, channels)
    return by_place.transpose(-1, -3).reshape(merged.shape).contiguous()


def convert_file(in_file: str, out_file: str) -> Conversion:
    """Convert a checkpoint, file or address; keys of the ``out_file`` begin with ``backbone.``."""
    path = Path(out_file)
    if path.suffix not in FORMATS:
        raise InvalidValueError(f'{out_file} must end with {" or ".join(FORMATS)}')
    conversion = convert_swin(read_checkpoint(in_file)['state_dict'])
    weights = {
        f'backbone.{key}': value.detach().clone() for key, value in conversion.weights.items()
    }
    write_whole({path: FORMATS[path.suffix](dict(meta={}, state_dict=weights))})
    return conversion
