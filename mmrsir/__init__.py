"""RSIR Transformer (arXiv 2304.06250) as a backbone for the OpenMMLab family.

Importing this package registers the backbone in mmengine's root registries, where mmdet,
mmseg, mmpretrain and every other library of the family find it:
``custom_imports = dict(imports=['mmrsir'])``.
"""

from . import models
from .version import __version__

__all__ = ['__version__', 'models']
