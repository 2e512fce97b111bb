"""From a config file and a command line to a run, for mmdet, mmseg and mmpretrain.

Importing this package registers what needs none of the three: hooks and optimizer wrappers.
"""

from .amp import CPUAmpOptimWrapper
from .hooks import CheckpointMatchHook
from .layer_decay import LayerDecayOptimWrapperConstructor

__all__ = ['CPUAmpOptimWrapper', 'CheckpointMatchHook', 'LayerDecayOptimWrapperConstructor']
