"""A guard against losses that are no numbers."""

from typing import Any

import torch
from mmengine.dist import all_gather_object, all_reduce
from mmengine.hooks import Hook
from mmengine.registry import HOOKS
from mmengine.runner import Runner
from torch import Tensor, nn

from ...utils.errors import UserError
from ...utils.listing import first_ten
from .checkpoint_match import unwrap


class NonFiniteError(UserError, RuntimeError):
    """A loss or a weight is NaN or infinite."""


@HOOKS.register_module()
class LossGuardHook(Hook):
    """Ends a training whose loss is NaN or infinite before the optimizer's step.

    The message names the terms of the loss and the images of the batch. All processes end
    together. Weights that are not finite are never saved.
    """

    def before_train(self, runner: Runner) -> None:
        model = unwrap(runner.model)
        self._handle = model.register_forward_hook(self._check, with_kwargs=True)
        self._runner = runner

    def after_train(self, runner: Runner) -> None:
        self._handle.remove()

    def before_save_checkpoint(self, runner: Runner, checkpoint: dict[str, Any]) -> None:
        weights = checkpoint['state_dict']
        trained = (name for name, _ in unwrap(runner.model).named_parameters())
        broken = [key for key in trained if key in weights and not weights[key].isfinite().all()]
        if broken:
            raise NonFiniteError(
                f'no checkpoint is saved at iteration {runner.iter + 1}: '
                f'{first_ten(broken)} are NaN or infinite. Resume the checkpoint before it with a '
                'lower learning rate, or without --amp'
            )

    def _check(self, model: nn.Module, args: tuple, kwargs: dict[str, Any], output: Any) -> None:
        if not model.training or not isinstance(output, dict):
            return
        terms = {
            name: value
            for name, value in output.items()
            if 'loss' in name and (isinstance(value, Tensor) or value)
        }
        if not terms:
            return
        finite = torch.stack([_is_finite(value) for value in terms.values()]).all()
        everywhere = finite.int()
        all_reduce(everywhere, 'min')
        if everywhere:
            return
        message = None
        if not finite:
            broken = [name for name, value in terms.items() if not _is_finite(value)]
            message = f'{", ".join(broken)} with {_describe_images(args, kwargs)}'
        found = [one for one in all_gather_object(message) if one is not None]
        raise NonFiniteError(
            f'at iteration {self._runner.iter + 1} the loss is NaN or infinite: '
            f'{"; ".join(found)}; the weights are those of the '
            'iteration before. Check these images, then the learning rate, then --amp'
        )


def _is_finite(value: Tensor | list[Tensor]) -> Tensor:
    """Return whether all of a loss is finite, as a tensor, so that a GPU is asked only once."""
    values = value if isinstance(value, (list, tuple)) else [value]
    return torch.stack([one.isfinite().all() for one in values]).all()


def _describe_images(args: tuple, kwargs: dict[str, Any]) -> str:
    samples = kwargs.get('data_samples', args[1] if len(args) > 1 else None) or []
    paths = [str(sample.img_path) for sample in samples if hasattr(sample, 'img_path')]
    return ', '.join(paths) if paths else 'images without a name'
