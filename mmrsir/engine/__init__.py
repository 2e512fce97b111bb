"""From a config file and a command line to a run, for mmdet, mmseg and mmpretrain.

Importing this package registers what needs none of the three: hooks, loops, optimizer wrappers.
"""

from .amp import CPUAmpOptimWrapper
from .batches import ResumableBatchSampler
from .checkpoint_hook import ResumableCheckpointHook
from .class_guard import ClassGuardHook
from .dataset_guard import CheckedTestLoop, CheckedValLoop
from .hooks import CheckpointMatchHook
from .layer_decay import LayerDecayOptimWrapperConstructor
from .loops import ResumableEpochBasedTrainLoop, ResumableIterBasedTrainLoop
from .loss_guard import LossGuardHook
from .prediction_pictures import PredictionPicturesHook
from .progressive_resizing import ProgressiveResizeHook
from .run_report import RunReportHook

__all__ = [
    'CPUAmpOptimWrapper',
    'CheckedTestLoop',
    'CheckedValLoop',
    'CheckpointMatchHook',
    'ClassGuardHook',
    'LayerDecayOptimWrapperConstructor',
    'LossGuardHook',
    'PredictionPicturesHook',
    'ProgressiveResizeHook',
    'ResumableBatchSampler',
    'ResumableCheckpointHook',
    'ResumableEpochBasedTrainLoop',
    'ResumableIterBasedTrainLoop',
    'RunReportHook',
]
