"""Testing; importing this package registers it."""

from importlib.util import find_spec

from .random_draws import RandomDraws

__all__ = ['RandomDraws']

if find_spec('mmdet') is not None:
    from .coco_metric import CheckedCocoMetric
    from .dsb2018_metric import DSB2018Metric
    from .mask_tta import MaskTTAModel

    __all__ += ['CheckedCocoMetric', 'DSB2018Metric', 'MaskTTAModel']
