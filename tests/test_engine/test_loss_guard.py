"""Losses and weights that are no numbers end a training, and are never saved."""

import re

import pytest
import torch
from mmengine.model import is_model_wrapper

from mmrsir.engine import launch
from mmrsir.engine.hooks.loss_guard import NonFiniteError

from ..helpers.forks import run_in_two_processes
from ..helpers.resumed_trainings import CONFIGS, load_config

TERM = {'mmdet': 'loss_mask', 'mmseg': 'decode.loss_ce', 'mmpretrain': 'loss'}


def spoil(runner, term, value, iteration):
    """Give a term of the loss a value at an iteration; keep the weights of that moment."""
    weights = {}

    def replace(model, args, output):
        if model.training and runner.iter + 1 == iteration:
            assert term in output
            weights.update({key: one.clone() for key, one in model.state_dict().items()})
            output[term] = output[term] * value

    model = runner.model.module if is_model_wrapper(runner.model) else runner.model
    model.register_forward_hook(replace)
    return weights


@pytest.mark.parametrize('value', [float('nan'), float('inf')])
@pytest.mark.parametrize('scope', CONFIGS)
def test_loss_that_is_no_number_stops_before_the_step(scope, value, data, tmp_path):
    cfg = load_config(scope, data, tmp_path)
    runner = launch.build_runner(cfg)
    before = spoil(runner, TERM[scope], value, iteration=2)
    with pytest.raises(NonFiniteError) as error:
        runner.train()
    message = str(error.value)
    assert re.search(rf'at iteration 2 the loss is NaN or infinite: {TERM[scope]} with ', message)
    assert len(re.findall(r'/train\w*/[^ ,;]*\.jpg', message)) == 2  # the images of the batch
    trainable = [key for key, _ in runner.model.named_parameters()]
    assert all(torch.equal(runner.model.state_dict()[key], before[key]) for key in trainable)
    assert [path.name for path in tmp_path.glob('*.pth')] == ['iter_1.pth']


def test_weights_that_are_no_numbers_are_not_saved(data, tmp_path):
    runner = launch.build_runner(load_config('mmpretrain', data, tmp_path))
    bias = runner.model.head.fc.bias
    bias.register_hook(lambda gradient: gradient * float('nan'))
    with pytest.raises(
        NonFiniteError, match=r'no checkpoint is saved .*head\.fc\.bias.* are NaN or infinite'
    ):
        runner.train()
    assert not list(tmp_path.glob('*.pth'))


@pytest.mark.slow
def test_all_processes_stop_together(data, tmp_path):
    run_in_two_processes(train_until_one_loss_is_no_number, data, tmp_path)
    messages = [(tmp_path / f'{rank}.txt').read_text() for rank in range(2)]
    assert messages[0] == messages[1]
    assert re.search('at iteration 2 the loss is NaN or infinite: loss with ', messages[0])
    assert [path.name for path in tmp_path.glob('run/*.pth')] == ['iter_1.pth']


def test_finite_losses_pass(data, tmp_path):
    runner = launch.build_runner(load_config('mmpretrain', data, tmp_path))
    spoil(runner, 'loss', 1e20, iteration=2)
    runner.train()
    assert runner.iter == 4


def train_until_one_loss_is_no_number(data, folder):
    """Train in two processes, of which the second meets a loss that is no number."""
    rank = torch.distributed.get_rank()
    runner = launch.build_runner(load_config('mmpretrain', data, folder / 'run', 'pytorch'))
    spoil(runner, 'loss', float('nan') if rank == 1 else 1.0, iteration=2)
    with pytest.raises(NonFiniteError) as error:
        runner.train()
    (folder / f'{rank}.txt').write_text(str(error.value))
