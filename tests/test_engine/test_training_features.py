"""What training can do besides the plain loop, each in a short run of a nano model."""

import logging
import re
from copy import deepcopy
from pathlib import Path

import pytest
import torch
from mmengine.logging import MMLogger

from mmrsir.checkpoints.reading import CheckpointMismatchError
from mmrsir.engine import launch

from ..helpers.commands import ROOT
from ..helpers.configs import SHAPES
from ..helpers.shrink import shrink


def short(scope, data, tmp_path):
    """Two iterations without validation."""
    arguments = [str(ROOT / SHAPES[scope])]
    cfg = launch.load_config(launch.argument_parser('').parse_args(arguments))
    cfg = shrink(cfg, str(data), str(tmp_path / 'run'))
    if 'max_iters' in cfg.train_cfg:
        cfg.train_cfg.val_interval = 10
    cfg.val_cfg = cfg.val_dataloader = cfg.val_evaluator = None
    return cfg


@pytest.fixture(params=SHAPES)
def cfg(request, data, tmp_path):
    return short(request.param, data, tmp_path)


@pytest.fixture
def classification(data, tmp_path):
    return short('mmpretrain', data, tmp_path)


def train(cfg):
    runner = launch.build_runner(cfg)
    runner.train()
    return runner


def weights(runner):
    return {key: value.clone() for key, value in runner.model.state_dict().items()}


def test_bfloat16_on_the_cpu(cfg, monkeypatch):
    monkeypatch.setattr(torch.cuda, 'is_available', lambda: False)
    launch.enable_amp(cfg)
    types = set()
    runner = launch.build_runner(cfg)
    attention = runner.model.backbone.stages[0].blocks[0].mixer.attn.proj
    attention.register_forward_hook(lambda module, inputs, output: types.add(output.dtype))
    before = weights(runner)
    runner.train()
    assert types == {torch.bfloat16}
    assert all(value.isfinite().all() for value in runner.model.state_dict().values())
    changed = [key for key, value in weights(runner).items() if not torch.equal(value, before[key])]
    assert len(changed) > len(before) / 2
    assert {p.dtype for p in runner.model.parameters()} == {torch.float32}


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason='needs a GPU')
@pytest.mark.parametrize('dtype', ['float16', 'bfloat16'])
def test_mixed_precision_on_a_gpu(cfg, dtype):
    launch.enable_amp(cfg, dtype)
    runner = train(cfg)
    assert all(value.isfinite().all() for value in runner.model.state_dict().values())


def test_gradient_checkpointing_trains_the_same(cfg):
    expected = weights(train(deepcopy(cfg)))
    cfg.model.backbone.with_cp = True
    cfg.experiment_name = cfg.visualizer.name = f'{cfg.work_dir}-with_cp'
    runner = train(cfg)
    assert runner.model.backbone.stages[0].blocks[0].with_cp
    torch.testing.assert_close(weights(runner), expected, rtol=0, atol=1e-6)


def test_moving_average_is_what_a_checkpoint_holds(classification):
    classification.custom_hooks = [dict(type='EMAHook', momentum=0.5)]
    classification.default_hooks.checkpoint.update(interval=1)
    runner = train(classification)
    saved = torch.load(runner.work_dir + '/epoch_1.pth', weights_only=False)
    trained = runner.model.state_dict()
    key = 'head.fc.weight'
    assert not torch.equal(saved['state_dict'][key], trained[key])
    assert torch.equal(saved['ema_state_dict'][f'module.{key}'], trained[key])


def test_accumulated_gradients_are_stepped_once(classification):
    classification.optim_wrapper.accumulative_counts = 2
    runner = launch.build_runner(classification)
    steps = []
    runner.optim_wrapper = runner.build_optim_wrapper(classification.optim_wrapper)
    optimizer = runner.optim_wrapper.optimizer
    optimizer.register_step_post_hook(lambda *_: steps.append(runner.iter))
    runner.train()
    assert runner.iter == 2
    assert len(steps) == 1


@pytest.mark.parametrize(('batch_size', 'factor'), [(2, 1 / 16), (4, 1 / 8)])
def test_learning_rate_scales_with_the_batch(classification, batch_size, factor):
    launch.enable_auto_scale_lr(classification)
    classification.train_dataloader.batch_size = batch_size
    classification.param_scheduler = None
    runner = train(classification)
    (rate,) = {group['lr'] for group in runner.optim_wrapper.optimizer.param_groups}
    assert rate == pytest.approx(classification.optim_wrapper.optimizer.lr * factor)


def test_classifier_is_carried_over_with_one_setting(cfg, classification):
    """The way from pretraining to detection and segmentation."""
    cfg.model.backbone.init_cfg = dict(type='Pretrained')
    classification.work_dir += '-classification'
    classification.experiment_name = classification.work_dir
    classification.default_hooks.checkpoint.update(interval=1)
    classifier = train(classification)
    cfg.merge_from_dict(
        {'model.backbone.init_cfg.checkpoint': f'{classifier.work_dir}/epoch_1.pth'}
    )
    cfg.optim_wrapper.optimizer.lr = 0.0  # what is loaded stays
    runner = train(cfg)
    source = classifier.model.backbone.state_dict()
    target = runner.model.backbone.state_dict()
    assert source.keys() <= target.keys()
    assert all(torch.equal(target[key], value) for key, value in source.items())
    (log,) = Path(cfg.work_dir).glob('*/*.log')
    (report,) = re.findall('pretrained weights .*', log.read_text())
    assert 'of the weights matched' in report
    assert ('missing: norm0.weight' in report) == (cfg.default_scope != 'mmpretrain')
    assert 'unexpected' not in report


def test_checkpoint_of_another_model_is_refused(classification, caplog):
    classification.default_hooks.checkpoint.update(interval=1)
    runner = train(classification)
    MMLogger.get_current_instance().addHandler(caplog.handler)
    runner.load_checkpoint(f'{runner.work_dir}/epoch_1.pth')
    assert any(
        '100.0% of the weights matched' in one.getMessage() and one.levelno == logging.INFO
        for one in caplog.records
    )
    state = torch.load(f'{runner.work_dir}/epoch_1.pth', weights_only=False)
    state['state_dict'] = {f'model.{key}': value for key, value in state['state_dict'].items()}
    torch.save(state, f'{runner.work_dir}/wrong.pth')
    with pytest.raises(CheckpointMismatchError, match=r'checkpoint: 0\.0% of the weights'):
        runner.load_checkpoint(f'{runner.work_dir}/wrong.pth')
