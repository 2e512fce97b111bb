"""From a config file and a command line to a run, for mmdet, mmseg and mmpretrain.

Importing this package registers what needs none of the three: hooks, loops, optimizer wrappers.
"""

from .hooks.checkpoint import ResumableCheckpointHook
from .hooks.checkpoint_match import CheckpointMatchHook
from .hooks.class_guard import ClassGuardHook
from .hooks.loss_guard import LossGuardHook
from .hooks.prediction_pictures import PredictionPicturesHook
from .hooks.progressive_resizing import ProgressiveResizeHook
from .hooks.run_report import RunReportHook
from .loops.batches import ResumableBatchSampler
from .loops.checked import CheckedTestLoop, CheckedValLoop
from .loops.resumable import ResumableEpochBasedTrainLoop, ResumableIterBasedTrainLoop
from .optim.amp import CPUAmpOptimWrapper
from .optim.layer_decay import LayerDecayOptimWrapperConstructor

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
