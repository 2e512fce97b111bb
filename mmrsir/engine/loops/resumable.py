"""Training loops of mmengine that can be resumed at any iteration, exactly."""

from collections.abc import Iterator
from typing import Any

from mmengine.registry import LOOPS
from mmengine.runner import EpochBasedTrainLoop, IterBasedTrainLoop, Runner

from .batches import resumable_dataloader


@LOOPS.register_module()
class ResumableEpochBasedTrainLoop(EpochBasedTrainLoop):
    """Trains for a number of epochs; a resumed one goes on where it was, also inside an epoch.

    It takes the arguments of mmengine's ``EpochBasedTrainLoop``.
    """

    def __init__(self, runner: Runner, dataloader: dict, **kwargs: Any) -> None:
        super().__init__(runner, resumable_dataloader(runner, dataloader), **kwargs)
        self.batches_done = 0  # of the present epoch; the checkpoint hook saves and restores it

    def run_epoch(self) -> None:
        done = min(self.batches_done, len(self.dataloader))  # there may be less data than before
        self.dataloader.batch_sampler.skip(done)
        self.runner.call_hook('before_train_epoch')
        self.runner.model.train()
        for index, batch in enumerate(self.dataloader, start=done):
            self.batches_done = index + 1  # with the one whose hooks may save
            self.run_iter(index, batch)
        self.batches_done = 0
        self.runner.call_hook('after_train_epoch')
        self._epoch += 1


@LOOPS.register_module()
class ResumableIterBasedTrainLoop(IterBasedTrainLoop):
    """Trains for a number of iterations; a resumed one goes on with the very next batch.

    It takes the arguments of mmengine's ``IterBasedTrainLoop``.
    """

    def __init__(self, runner: Runner, dataloader: dict, **kwargs: Any) -> None:
        super().__init__(runner, resumable_dataloader(runner, dataloader), **kwargs)
        self.dataloader_iterator = _EndlessBatches(self.dataloader)


class _EndlessBatches:
    """Batches of one epoch after the other, in place of mmengine's iterator."""

    def __init__(self, dataloader: Any) -> None:
        self._dataloader = dataloader
        self._batches = self._all()

    def __next__(self) -> Any:
        return next(self._batches)

    def skip_iter(self, num_iters: int) -> None:
        self._dataloader.batch_sampler.skip(num_iters)

    def _all(self) -> Iterator[Any]:
        sampler = self._dataloader.batch_sampler.sampler
        epoch = 0
        while True:
            if hasattr(sampler, 'set_epoch'):
                sampler.set_epoch(epoch)
            yield from self._dataloader
            epoch += 1
