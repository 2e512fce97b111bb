"""The shape of a pyramid, checked: channels, blocks, heads and windows of each stage."""

from collections.abc import Mapping, Sequence
from typing import Any

from ..utils.arguments import check_choice, check_int, check_ints
from ..utils.errors import InvalidTypeError, InvalidValueError

ARCH_KEYS = ('embed_dims', 'depths', 'num_heads')


def check_arch(arch: Mapping[str, Any]) -> tuple[int, tuple[int, ...], tuple[int, ...]]:
    """Return (embed_dims, depths, num_heads); raise an error if no network can have them."""
    if not isinstance(arch, Mapping):
        raise InvalidTypeError(f'arch={arch!r} must be a dict with the keys {", ".join(ARCH_KEYS)}')
    for key in arch:
        check_choice('arch key', key, ARCH_KEYS)
    missing = [key for key in ARCH_KEYS if key not in arch]
    if missing:
        raise InvalidValueError(f'arch={dict(arch)} lacks {", ".join(missing)}')
    embed_dims = arch['embed_dims']
    check_int('embed_dims', embed_dims, minimum=1)
    depths = check_ints('depths', arch['depths'], minimum=1)
    num_heads = check_ints('num_heads', arch['num_heads'], minimum=1)
    if not depths or len(depths) != len(num_heads):
        raise InvalidValueError(
            f'depths={depths} and num_heads={num_heads} must have one entry for each stage'
        )
    for stage, heads in enumerate(num_heads):
        width = embed_dims * 2**stage
        if width % heads:
            raise InvalidValueError(
                f'embed_dims={embed_dims} gives stage {stage} {width} channels, '
                f'which num_heads[{stage}]={heads} does not divide'
            )
    return embed_dims, depths, num_heads


def check_window_size(window_size: int | Sequence[int], num_stages: int) -> tuple[int, ...]:
    """Return the window size of each stage."""
    if isinstance(window_size, int):
        window_size = (window_size,) * num_stages
    sizes = check_ints('window_size', window_size, minimum=1)
    if len(sizes) != num_stages:
        raise InvalidValueError(
            f'window_size={sizes} must have one entry for each of {num_stages} stages'
        )
    return sizes
