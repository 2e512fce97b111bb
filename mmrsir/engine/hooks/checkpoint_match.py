"""Hooks of mmengine's runner."""

from typing import Any

from mmengine.hooks import Hook
from mmengine.model import BaseTTAModel, is_model_wrapper
from mmengine.registry import HOOKS
from mmengine.runner import Runner
from torch import nn

from ...checkpoints.reading import check_match, match_weights, strip_wrapper


@HOOKS.register_module()
class CheckpointMatchHook(Hook):
    """Reports how far a loaded checkpoint matches the model; refuses one that matches too little.

    mmengine loads what fits and goes on with the rest as it was initialized.

    Args:
        min_matched: Smallest share of the model's weights that must match, 0 to 1.
    """

    def __init__(self, min_matched: float = 0.9) -> None:
        self.min_matched = min_matched

    def after_load_checkpoint(self, runner: Runner, checkpoint: dict[str, Any]) -> None:
        """Compare the checkpoint with the model, before its weights are taken over.

        Args:
            runner: The runner.
            checkpoint: What was read.

        Raises:
            CheckpointMismatchError: Less than ``min_matched`` matches.
        """
        weights = strip_wrapper(checkpoint.get('state_dict', checkpoint))
        check_match(match_weights(unwrap(runner.model), weights), 'checkpoint', self.min_matched)


def unwrap(model: Any) -> nn.Module:
    """Return the model inside of its wrappers, for several processes or augmented tests."""
    while is_model_wrapper(model) or isinstance(model, BaseTTAModel):
        model = model.module
    return model
