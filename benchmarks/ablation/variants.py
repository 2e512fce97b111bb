"""What is compared: backbones that differ from each other in one setting."""

from collections.abc import Mapping
from typing import Any

from mmrsir.models import ARCHS, PyramidTransformer

# Table 7 of the paper, whose rows these are, exchanges the mechanism and nothing else.
MECHANISMS: dict[str, tuple[str, ...]] = {
    'shifted_window': ('shifted_window',),
    'spatially_separable': ('spatially_separable',),
    'axial': ('axial',),
    'criss_cross': ('criss_cross',),
    'cross_shaped': ('cross_shaped',),
    'grid': ('grid',),
    'rsir': ('rs', 'ir'),
}
VARIANTS: dict[str, Mapping[str, Any]] = {
    **{name: dict(mixers=mixers) for name, mixers in MECHANISMS.items()},
    **{
        f'{name}, position=peg': dict(mixers=mixers, position='peg')
        for name, mixers in MECHANISMS.items()
    },
    'rsir, RS only': dict(mixers=('rs',)),
    'rsir, IR only': dict(mixers=('ir',)),
    'rsir, importance=cbam': dict(mixers=('rs', 'ir'), importance='cbam'),
    'rsir, windows of twice the side': dict(mixers=('rs', 'ir'), window_scale=2),
}
# Of a config, whose other settings stay.
CONFIG_VARIANTS: dict[str, Mapping[str, Any]] = {
    **{name: dict(mixers=mixers) for name, mixers in MECHANISMS.items()},
    'rsir, RS only': dict(mixers=('rs',)),
    'rsir, IR only': dict(mixers=('ir',)),
    'rsir, position=None': dict(mixers=('rs', 'ir'), position=None),
    'rsir, importance=cbam': dict(mixers=('rs', 'ir'), importance='cbam'),
    'rsir, windows of 16 tokens': dict(mixers=('rs', 'ir'), window_size=4),
}


def build_variant(
    variant: str, window_size: int, eval_sampling: str = 'fixed'
) -> PyramidTransformer:
    shared = dict(downsampling='linear', position=None, drop_path_rate=0.0, out_indices=(3,))
    settings = {**shared, **VARIANTS[variant], 'eval_sampling': eval_sampling}
    settings['window_size'] = window_size * settings.pop('window_scale', 1)
    # Not initialized further: a standard deviation of 0.02 is meant for hundreds of channels.
    return PyramidTransformer(ARCHS['nano'], **settings)
