"""RSIR Transformer (arXiv 2304.06250) as a backbone for the OpenMMLab family.

Importing this package registers the backbone, and what trains it, in mmengine's root
registries, where mmdet, mmseg, mmpretrain and every other library of the family find it:
``custom_imports = dict(imports=['mmrsir'])``. Configs that are read from then on can inherit from
those of mmrsir: ``_base_ = 'mmrsir::…'``. Nothing that a library has registered is replaced: a
project asks for that by :mod:`mmrsir.replacements`.
"""

import sys

from .version import __version__


def _runs_doctor() -> bool:
    """Whether this import is that of ``python -m mmrsir.doctor``, where all others may crash."""
    # While Python looks for what -m names, argv has '-m' in its place.
    return sys.argv[:1] == ['-m'] and sys.orig_argv[-len(sys.argv)].endswith('mmrsir.doctor')


if not _runs_doctor():
    from . import datasets, engine, inheritance, models, weights

    inheritance.enable()

__all__ = ['__version__', 'datasets', 'engine', 'inheritance', 'models', 'weights']
