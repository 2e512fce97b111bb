"""Training on small images first, and on large ones at the end."""

from collections.abc import Mapping
from typing import Any

from mmengine.hooks import Hook
from mmengine.registry import HOOKS
from mmengine.runner import Runner

from ..datasets.batch_transforms import resize
from ..models.arguments import check_int


def side_at(sides: Mapping[int, int], epoch: int) -> int | None:
    """Return the side of the images in an epoch.

    Args:
        sides: Side in pixels by the epoch from which it holds, counted from 0.
        epoch: The epoch.

    Returns:
        The side; None before the first of them: as the pipeline gives them.
    """
    begun = [first for first in sides if first <= epoch]
    return sides[max(begun)] if begun else None


@HOOKS.register_module()
class ProgressiveResizeHook(Hook):
    """Resizes the images of a classifier's batches by epoch.

    Small images cost less, and the first epochs learn nearly as much from them: half the side
    takes a quarter of the time.

    Args:
        sides: Side of the square images in pixels by the epoch from which it holds, such as
            ``{0: 32, 10: 48, 20: 64}``.

    Raises:
        TypeError: A side or an epoch is not an integer.
        ValueError: One is too small.
    """

    def __init__(self, sides: Mapping[int, int]) -> None:
        self.sides = {int(epoch): side for epoch, side in sides.items()}
        for epoch, side in self.sides.items():
            check_int('epoch', epoch, minimum=0)
            check_int('side', side, minimum=1)

    def before_train_iter(
        self, runner: Runner, batch_idx: int, data_batch: dict[str, Any] | None = None
    ) -> None:
        """Resize the batch.

        Args:
            runner: It counts the epochs.
            batch_idx: Not used.
            data_batch: Its ``'inputs'``, (N, 3, H, W), are replaced.
        """
        side = side_at(self.sides, runner.epoch)
        if side is not None and data_batch is not None:
            data_batch['inputs'] = resize(data_batch['inputs'], side)
