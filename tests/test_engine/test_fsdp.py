"""Sharded training gives what data parallel training gives."""

import json
import re

import pytest
import torch
from torch.testing import assert_close

from mmrsir.engine.strategies.fsdp import FSDP2Strategy

from ..helpers.commands import on_data, read_metrics, run, tool
from ..helpers.forks import run_in_two_processes
from ..helpers.fsdp_trainings import train_all

pytestmark = pytest.mark.slow
FSDP = ['runner_type=FlexibleRunner', 'strategy.type=mmrsir.engine.strategies.fsdp.FSDP2Strategy']
SMALL = 'configs/cls/rsir_n_shapes.py'
BASE = 'configs/cls/rsir_b_in1k.py'


@pytest.fixture(scope='module')
def trainings(tmp_path_factory):
    """The folder with the results of fsdp_trainings.py."""
    folder = tmp_path_factory.mktemp('fsdp')
    run_in_two_processes(train_all, folder)
    return folder


def load(folder, name='epoch_1.pth'):
    return torch.load(folder / name, weights_only=False)


@pytest.mark.parametrize('importance', ['mean', 'cbam'])
def test_parameters_are_those_of_data_parallel_training(trainings, importance):
    expected, actual = (load(trainings / f'{kind}_{importance}') for kind in ('ddp', 'fsdp'))
    assert_close(actual['state_dict'], expected['state_dict'], rtol=0, atol=1e-5)


@pytest.mark.parametrize('importance', ['mean', 'cbam'])
def test_recomputed_activations_change_nothing(trainings, importance):
    expected, actual = (load(trainings / f'{kind}_{importance}') for kind in ('fsdp', 'fsdp_cp'))
    assert_close(actual['state_dict'], expected['state_dict'], rtol=0, atol=0)


def test_optimizer_state_is_that_of_data_parallel_training(trainings):
    expected, actual = (load(trainings / f'{kind}_mean')['optimizer'] for kind in ('ddp', 'fsdp'))
    assert actual['param_groups'] == expected['param_groups']
    assert {group['weight_decay'] for group in actual['param_groups']} == {0.0, 0.05}
    assert_close(actual['state'], expected['state'], rtol=1e-3, atol=1e-5)


def test_training_resumes_with_and_without_sharding(trainings):
    expected, actual = (
        load(trainings / name, 'epoch_2.pth') for name in ('fsdp_then_ddp', 'ddp_then_fsdp')
    )
    assert_close(actual['state_dict'], expected['state_dict'], rtol=0, atol=1e-5)
    assert_close(actual['optimizer']['state'], expected['optimizer']['state'], rtol=1e-3, atol=1e-5)


def test_each_process_keeps_half_of_parameters_and_moments(trainings):
    sizes = [json.loads((trainings / f'sizes_{rank}.json').read_text()) for rank in range(2)]
    for kept in ('parameters', 'moments'):
        assert sum(one[kept] for one in sizes) == sizes[0]['model']
        assert max(one[kept] for one in sizes) < 0.51 * sizes[0]['model']


def test_checkpoint_is_tested_without_sharding(shapes, tmp_path):
    options = ['--cfg-options', *on_data('mmpretrain', shapes), 'train_cfg.max_epochs=1']
    options += ['train_cfg.val_interval=1', 'train_dataloader.batch_size=4']
    output = run('tools/dist_train.sh', SMALL, 2, '--work-dir', tmp_path, *options, *FSDP)
    (sharded,) = re.findall(r'accuracy/top1: ([0-9.]+)', output)
    tool('test.py', SMALL, tmp_path / 'epoch_1.pth', '--work-dir', tmp_path / 'test', *options)
    assert read_metrics(tmp_path / 'test')['accuracy/top1'] == float(sharded)


def test_a_single_process_is_refused(tmp_path):
    with pytest.raises(ValueError, match='FSDP2Strategy shards .* --launcher none has only one'):
        FSDP2Strategy(work_dir=str(tmp_path), env_kwargs=dict(launcher='none'))


def test_rsir_b_trains_like_data_parallel(shapes, tmp_path):
    options = on_data('mmpretrain', shapes)
    options += [
        'train_dataloader.batch_size=1',
        'train_dataloader.dataset.indices=4',
        'train_dataloader.dataset.pipeline.1.scale=64',
        'train_cfg.max_epochs=1',
        'train_cfg.val_interval=2',
        'param_scheduler=None',
        'randomness.seed=0',
        'default_hooks.checkpoint.save_optimizer=False',
    ]
    for name, more in (('ddp', []), ('fsdp', [*FSDP, 'model.backbone.with_cp=True'])):
        work_dir = ('--work-dir', tmp_path / name)
        run('tools/dist_train.sh', BASE, 2, *work_dir, '--cfg-options', *options, *more)
    expected, actual = (load(tmp_path / name)['state_dict'] for name in ('ddp', 'fsdp'))
    # Gradients are clipped by the norm of 63 million numbers, added up in float32.
    assert_close(actual, expected, rtol=0, atol=1e-4)
