"""The configs that ship, each read once."""

from functools import cache
from unittest import mock

from mmengine.config import Config, utils

from .commands import ROOT

CONFIGS = sorted(str(path.relative_to(ROOT)) for path in ROOT.glob('configs/[!_]*/**/*.py'))
METAINFO = cache(utils._get_cfg_metainfo)


@cache
def read(path):
    """Return a config; it is not to be changed."""
    with quick_search():
        return Config.fromfile(ROOT / path)


def quick_search():
    """Search the libraries for a config once; each time mmengine reads hundreds of files."""
    return mock.patch.object(utils, '_get_cfg_metainfo', METAINFO)


# The smallest config of each library.
SHAPES = {
    'mmdet': 'configs/mask_rcnn/rsir_n_shapes.py',
    'mmseg': 'configs/upernet/rsir_n_shapes.py',
    'mmpretrain': 'configs/cls/rsir_n_shapes.py',
}
