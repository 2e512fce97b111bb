"""A training that was interrupted ends with the parameters of one that was not."""

import json

import pytest
import torch

from mmrsir.engine import launch
from mmrsir.engine.hooks.checkpoint import RESUMPTION
from mmrsir.engine.loops import random_state
from mmrsir.engine.loops.batches import (
    PlacedIndex,
    ResumableBatchSampler,
    SampleError,
    load_samples,
)

from ..helpers.forks import run_in_two_processes
from ..helpers.resumed_trainings import CONFIGS, load_config, train, train_and_resume

# The others take a while.
ONE_LIBRARY = pytest.mark.parametrize(
    'uninterrupted',
    ['mmpretrain', *(pytest.param(one, marks=pytest.mark.slow) for one in ('mmdet', 'mmseg'))],
    indirect=True,
)


@pytest.fixture(scope='module', params=CONFIGS)
def uninterrupted(request, data, tmp_path_factory):
    """A training: (library, folder of its checkpoints, hash of what it ends with)."""
    folder = tmp_path_factory.mktemp(request.param)
    return request.param, folder, train(load_config(request.param, data, folder))


@ONE_LIBRARY
@pytest.mark.parametrize(
    'iteration',  # inside of the first epoch, at its end, inside of the second
    [pytest.param(1, marks=pytest.mark.slow), pytest.param(2, marks=pytest.mark.slow), 3],
)
def test_resume_at_any_iteration_changes_nothing(uninterrupted, data, tmp_path, iteration):
    scope, folder, expected = uninterrupted
    cfg = load_config(scope, data, tmp_path)
    assert train(cfg, folder / f'iter_{iteration}.pth') == expected


@ONE_LIBRARY
def test_resume_at_the_end_of_an_epoch_changes_nothing(uninterrupted, data, tmp_path):
    scope, _, expected = uninterrupted
    cfg = load_config(scope, data, tmp_path / 'first')
    # The first validation is the best so far, after which mmengine saves a second time.
    cfg.default_hooks.checkpoint.update(by_epoch=True, save_best='auto')
    assert train(cfg) == expected
    cfg = load_config(scope, data, tmp_path / 'second')
    assert train(cfg, tmp_path / 'first/epoch_1.pth') == expected


@pytest.mark.parametrize('uninterrupted', ['mmpretrain'], indirect=True)
@pytest.mark.parametrize(('images', 'iterations'), [(2, 1 + 0 + 1), (6, 1 + 2 + 3)])
def test_resume_goes_on_where_there_are_more_or_fewer_images(
    uninterrupted, data, tmp_path, images, iterations
):
    scope, folder, _ = uninterrupted
    cfg = load_config(scope, data, tmp_path)
    cfg.train_dataloader.dataset.indices = images
    launch.enable_resume(cfg, str(folder / 'iter_1.pth'))
    runner = launch.build_runner(cfg)
    runner.train()
    assert runner.iter == iterations


@pytest.mark.slow
def test_loading_workers_change_nothing(uninterrupted, data, tmp_path):
    scope, folder, expected = uninterrupted
    assert train(load_config(scope, data, tmp_path / 'first', num_workers=2)) == expected
    cfg = load_config(scope, data, tmp_path / 'second', num_workers=1)
    assert train(cfg, folder / 'iter_1.pth') == expected


@pytest.mark.slow
def test_validation_changes_nothing(uninterrupted, data, tmp_path):
    scope, _, expected = uninterrupted
    cfg = load_config(scope, data, tmp_path)
    cfg.val_cfg = cfg.val_dataloader = cfg.val_evaluator = None
    assert train(cfg) == expected


@ONE_LIBRARY
def test_random_states_are_what_makes_it_exact(uninterrupted, data, tmp_path):
    """The other tests could not fail if nothing were random."""
    scope, folder, expected = uninterrupted
    state = torch.load(folder / 'iter_1.pth', weights_only=False)
    del state[RESUMPTION]
    torch.save(state, tmp_path / 'without.pth')
    cfg = load_config(scope, data, tmp_path / 'run')
    assert train(cfg, tmp_path / 'without.pth') != expected


@pytest.mark.slow
def test_two_processes_resume_exactly(data, tmp_path):
    run_in_two_processes(train_and_resume, data, tmp_path)
    for rank in range(2):
        hashes = json.loads((tmp_path / f'hashes_{rank}.json').read_text())
        assert hashes.keys() == CONFIGS.keys()
        for of_scope in hashes.values():
            assert len(of_scope) == 2
            assert len(set(of_scope)) == 1


def draw():
    import random

    import numpy as np

    return random.random(), np.random.rand(), torch.rand(()).item()


def test_random_states_are_restored():
    state = random_state.capture()
    expected = draw()
    assert draw() != expected
    random_state.restore(state)
    assert draw() == expected


def test_random_states_survive_a_file_that_is_read_safely(tmp_path):
    state = random_state.capture()
    torch.save(state, tmp_path / 'state.pth')
    expected = draw()
    random_state.restore(torch.load(tmp_path / 'state.pth', weights_only=True))
    assert draw() == expected


def test_seeds_hold_for_a_while_only():
    state = random_state.capture()
    expected = draw()
    random_state.restore(state)
    with random_state.seeded((1, 2)):
        inside = draw()
    assert draw() == expected
    with random_state.seeded((1, 2)):
        assert draw() == inside
    with random_state.seeded((1, 3)):
        assert not set(draw()) & set(inside)


def batches(skip=0, num_epochs=2, **settings):
    """Return the batches of a few epochs as plain numbers, with their places."""
    sampler = ResumableBatchSampler(range(5), 2, **settings)
    sampler.skip(skip)
    return [[(int(i), i.place) for i in batch] for _ in range(num_epochs) for batch in sampler]


@pytest.mark.parametrize('skip', range(7))
def test_skipped_batches_change_none_of_the_others(skip):
    assert batches(skip) == batches()[skip:]


def test_last_batch_is_dropped_on_demand():
    assert [len(batch) for batch in batches(num_epochs=1)] == [2, 2, 1]
    assert [len(batch) for batch in batches(num_epochs=1, drop_last=True)] == [2, 2]


def test_epoch_without_a_batch_is_refused():
    sampler = ResumableBatchSampler(range(5), 6, drop_last=True)
    with pytest.raises(ValueError, match='fewer samples than batch_size=6, and drop_last=True'):
        list(sampler)


class Broken(torch.utils.data.Dataset):
    def __getitem__(self, index):
        raise KeyError('gt_bboxes')

    def get_data_info(self, index):
        return dict(img_path=f'images/{index}.jpg', seg_map_path=None, height=3)


def test_sample_that_cannot_be_loaded_is_named():
    with pytest.raises(SampleError, match=r"sample 3 \(images/3.jpg\): KeyError: 'gt_bboxes'"):
        load_samples(Broken(), [PlacedIndex(3)])
