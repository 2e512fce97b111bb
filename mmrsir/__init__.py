"""RSIR Transformer (arXiv 2304.06250) as a backbone for the OpenMMLab family.

Importing this package registers the backbone, and what trains it, in mmengine's root
registries, where mmdet, mmseg, mmpretrain and every other library of the family find it:
``custom_imports = dict(imports=['mmrsir'])``. Configs that are read from then on can inherit from
those of mmrsir: ``_base_ = 'mmrsir::…'``.
"""

import sys

from .version import __version__

# `python -m mmrsir.doctor` is for environments where these imports fail or crash.
if 'mmrsir.doctor' not in sys.orig_argv:
    from . import datasets, engine, inheritance, models, weights

    inheritance.enable()

__all__ = ['__version__', 'datasets', 'engine', 'inheritance', 'models', 'weights']
