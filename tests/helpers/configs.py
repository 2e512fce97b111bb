"""The configs that ship, each read once."""

from functools import cache

from mmrsir.engine.config_files import read_file

from .commands import ROOT

CONFIGS = sorted(str(path.relative_to(ROOT)) for path in ROOT.glob('configs/[!_]*/**/*.py'))


@cache
def read(path):
    """Return a config; it is not to be changed."""
    return read_file(ROOT / path)


# The smallest config of each library.
SHAPES = {
    'mmdet': 'configs/mask_rcnn/rsir_n_shapes.py',
    'mmseg': 'configs/upernet/rsir_n_shapes.py',
    'mmpretrain': 'configs/cls/rsir_n_shapes.py',
}
