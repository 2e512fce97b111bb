"""A checkpoint compared with the model that takes its weights."""

from typing import Any

from mmengine.hooks import Hook
from mmengine.model import BaseTTAModel, is_model_wrapper
from mmengine.registry import HOOKS
from mmengine.runner import BaseLoop, Runner
from torch import nn

from ...checkpoints.reading import (
    check_complete,
    check_match,
    match_weights,
    strip_wrapper,
)


@HOOKS.register_module()
class CheckpointMatchHook(Hook):
    """Reports how far a loaded checkpoint matches the model; refuses one that matches too little.

    mmengine loads what fits and leaves the rest as it was initialized. A training may start so. In
    a test every parameter must match, except those of auxiliary heads: a random one makes all
    metrics meaningless.

    Args:
        min_matched: Smallest share of the model's weights that must match, 0 to 1. 0 allows
            anything, in tests too.
    """

    def __init__(self, min_matched: float = 0.9) -> None:
        self.min_matched = min_matched

    def after_load_checkpoint(self, runner: Runner, checkpoint: dict[str, Any]) -> None:
        model = unwrap(runner.model)
        weights = strip_wrapper(checkpoint.get('state_dict', checkpoint))
        match = match_weights(model, weights)
        check_match(match, 'checkpoint', self.min_matched)
        if self.min_matched and not isinstance(runner._train_loop, BaseLoop):
            check_complete(
                match,
                model,
                'the checkpoint',
                '; to test all the same: --cfg-options '
                'default_hooks.checkpoint_match.min_matched=0',
            )


def unwrap(model: Any) -> nn.Module:
    """Return the model inside of its wrappers, for several processes or augmented tests."""
    while is_model_wrapper(model) or isinstance(model, BaseTTAModel):
        model = model.module
    return model
