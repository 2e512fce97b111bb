"""Batches of a training that do not depend on what was drawn before them.

The random augmentation of a sample is seeded by its place in the training. So a training that
was interrupted at any batch goes on with the very same samples, whatever the number of loading
workers, and without loading those that it skips.
"""

import copy
from collections.abc import Iterator, Sequence
from functools import partial
from typing import Any

import torch
from mmengine.dist import get_rank
from mmengine.registry import DATA_SAMPLERS
from mmengine.runner import Runner
from torch.utils.data import BatchSampler, DataLoader, Dataset, Sampler

from ...utils.errors import InvalidValueError, UserError
from . import random_state
from .checked import checked_dataloader


class SampleError(RuntimeError):
    """A sample of a data set cannot be loaded."""


class UnusableSampleError(UserError, SampleError):
    """A sample cannot be loaded as its files are; the message says what to do about them."""


class PlacedIndex(int):
    """Index of a sample, and its place in the training: what its random augmentation depends on."""

    place: tuple[int, ...]

    def __new__(cls, index: int, place: tuple[int, ...] = ()) -> 'PlacedIndex':
        placed = super().__new__(cls, index)
        placed.place = place
        return placed


@DATA_SAMPLERS.register_module()
class ResumableBatchSampler(Sampler[list[PlacedIndex]]):
    """Batches of another batch sampler, torch's by default, of which any number can be skipped."""

    def __init__(
        self,
        sampler: Sampler,
        batch_size: int,
        batch_sampler: dict | None = None,
        drop_last: bool = False,
    ) -> None:
        self.sampler = sampler
        self.batch_size = batch_size
        self.batches = (
            BatchSampler(sampler, batch_size, drop_last)
            if batch_sampler is None
            else DATA_SAMPLERS.build(
                batch_sampler, default_args=dict(sampler=sampler, batch_size=batch_size)
            )
        )
        self._to_skip = 0

    def skip(self, num_batches: int) -> None:
        """Leave out the next batches, also over the end of an epoch."""
        self._to_skip = num_batches

    def __iter__(self) -> Iterator[list[PlacedIndex]]:
        stream = getattr(self.sampler, 'seed', 0), getattr(self.sampler, 'epoch', 0), get_rank()
        number = -1
        for number, batch in enumerate(self.batches):
            if self._to_skip > 0:
                self._to_skip -= 1
                continue
            yield [PlacedIndex(one, (*stream, number, i)) for i, one in enumerate(batch)]
        if number < 0:
            raise InvalidValueError(
                f'an epoch has fewer samples than batch_size={self.batch_size}, and drop_last=True '
                'drops them all: lower batch_size, or set drop_last=False'
            )

    def __len__(self) -> int:
        return len(self.batches)


def resumable_dataloader(runner: Runner, settings: dict) -> DataLoader:
    """Build the data loader of a training, with a :class:`ResumableBatchSampler`."""
    settings = copy.deepcopy(settings)
    settings['batch_sampler'] = dict(
        type='ResumableBatchSampler',
        batch_sampler=settings.get('batch_sampler'),
        drop_last=settings.pop('drop_last', False),
    )
    loader = checked_dataloader(runner, settings, 'train_dataloader')
    dataset: Any = loader.dataset
    dataset.__getitems__ = partial(load_samples, dataset)  # what torch asks for
    loader.generator = torch.Generator()  # or each epoch would draw from the global one
    return loader


def load_samples(dataset: Dataset, indices: Sequence[PlacedIndex]) -> list[Any]:
    samples = []
    for index in indices:
        try:
            with random_state.seeded(index.place):
                samples.append(dataset[int(index)])
        except Exception as error:
            kind = UnusableSampleError if isinstance(error, UserError) else SampleError
            raise kind(
                f'sample {int(index)}{_files_of(dataset, index)}: {type(error).__name__}: {error}'
            ) from error
    return samples


def _files_of(dataset: Any, index: int) -> str:
    if not hasattr(dataset, 'get_data_info'):
        return ''
    info = dataset.get_data_info(int(index))
    files = [value for key, value in info.items() if key.endswith('_path') and value]
    return f' ({", ".join(map(str, files))})' if files else ''
