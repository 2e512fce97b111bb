"""A resume says which settings hold, and refuses what cannot be meant."""

from pathlib import Path

import pytest
import torch
from mmengine.hooks import Hook

from mmrsir.engine import launch
from mmrsir.engine.hooks.resumed_settings import CannotResumeError

from ..helpers.resumed_trainings import ITERATIONS, load_config, train

DONE = 2  # iterations, which are an epoch
TELLS = 'Resumed with another config'


def scheduled(data, work_dir, lr=0.002, milestones=(1,)):
    """Return a short training with a warm-up by iterations, and steps by epochs."""
    cfg = load_config('mmpretrain', data, work_dir)
    cfg.custom_hooks = []
    cfg.val_cfg = cfg.val_dataloader = cfg.val_evaluator = None
    cfg.optim_wrapper.optimizer.lr = lr
    cfg.param_scheduler = [
        dict(type='LinearLR', start_factor=0.1, by_epoch=False, begin=0, end=4),
        dict(type='MultiStepLR', milestones=list(milestones), gamma=0.5, by_epoch=True),
    ]
    return cfg


@pytest.fixture(scope='module')
def checkpoint(data, tmp_path_factory):
    """A checkpoint of a training's middle."""
    folder = tmp_path_factory.mktemp('first')
    train(scheduled(data, folder))
    return folder / f'iter_{DONE}.pth'


class Rates(Hook):
    """Notes the learning rates of each iteration."""

    def __init__(self):
        self.noted = []

    def after_train_iter(self, runner, *args, **kwargs):
        self.noted.append([group['lr'] for group in runner.optim_wrapper.param_groups])


def run(cfg, resume=None):
    """Train; return the learning rates, and what was logged."""
    if resume is not None:
        launch.enable_resume(cfg, str(resume))
    runner = launch.build_runner(cfg)
    rates = Rates()
    runner.register_hook(rates, priority='HIGHEST')
    runner.train()
    (log,) = Path(cfg.work_dir).glob('*/*.log')
    return rates.noted, log.read_text()


def test_the_same_config_is_resumed_without_a_word(checkpoint, data, tmp_path):
    assert TELLS not in run(scheduled(data, tmp_path), checkpoint)[1]


def test_what_holds_is_said_where_the_config_is_another(checkpoint, data, tmp_path):
    cfg = scheduled(data, tmp_path, lr=0.001, milestones=(3, 5))
    cfg.train_cfg.max_epochs = 3
    cfg.optim_wrapper.accumulative_counts = 2
    cfg.optim_wrapper.clip_grad = dict(max_norm=1.0)
    rates, log = run(cfg, checkpoint)
    assert TELLS in log
    for line in (
        'train_cfg.max_epochs: 3 of the config is used, not 2 of the checkpoint.',
        'optim_wrapper.accumulative_counts: 2 of the config is used, not 1 of the checkpoint.',
        "optim_wrapper.clip_grad: {'max_norm': 1.0} of the config is used; the checkpoint does",
        'optim_wrapper.optimizer.lr: 0.002, not 0.001',
        'param_scheduler.1.milestones: [1] epochs, not [3, 5] epochs',
        '--cfg-options resume_schedule=config',
    ):
        assert line in log
    expected = run(scheduled(data, tmp_path / 'same'), checkpoint)[0]
    assert rates[: len(expected)] == expected
    (dumped,) = tmp_path.glob('*.py')
    assert '\n# These settings come from the checkpoint' in dumped.read_text()


def test_the_schedule_of_the_config_holds_on_demand(checkpoint, data, tmp_path):
    new = dict(lr=0.001, milestones=(1, 2))
    expected, _ = run(scheduled(data, tmp_path / 'never stopped', **new))
    cfg = scheduled(data, tmp_path / 'resumed', **new)
    cfg.resume_schedule = 'config'
    rates, log = run(cfg, checkpoint)
    assert rates == expected[DONE:]
    assert len(rates) == ITERATIONS - DONE
    assert TELLS not in log


def test_settings_of_model_and_data_that_change_no_weight_are_named(checkpoint, data, tmp_path):
    cfg = scheduled(data, tmp_path)
    cfg.model.backbone.window_size = 3
    cfg.model.backbone.seed = 1
    cfg.model.head.loss.loss_weight = 2.0
    cfg.model.data_preprocessor = dict(cfg.data_preprocessor, mean=[0.0, 0.0, 0.0])
    loader = cfg.train_dataloader
    loader.update(batch_size=4, num_workers=1)
    loader.dataset.pipeline[-2].contrast = 0.2
    log = run(cfg, checkpoint)[1]
    told = log[log.index(TELLS) :]
    jitter = len(loader.dataset.pipeline) - 2
    for line in (
        'model.backbone.window_size: 3 of the config is used; the checkpoint does not set it.',
        'model.backbone.seed: 1 of the config is used; the checkpoint does not set it.',
        'model.head.loss.loss_weight: 2.0 of the config is used; the checkpoint does not set it.',
        'model.data_preprocessor.mean: [0.0, 0.0, 0.0] of the config is used, not [123.675',
        'train_dataloader.batch_size: 4 of the config is used, not 2 of the checkpoint.',
        f'train_dataloader.dataset.pipeline.{jitter}.contrast: 0.2 of the config is used, not 0.3',
    ):
        assert f'\n{line}' in told
    assert 'num_workers' not in told


def test_the_time_that_is_left_is_that_of_the_epochs_that_are_left(checkpoint, data, tmp_path):
    cfg = scheduled(data, tmp_path)
    cfg.train_dataloader.dataset.indices = 1  # so an epoch has one iteration in place of two
    cfg.train_cfg.max_epochs = 3
    launch.enable_resume(cfg, str(checkpoint))
    runner = launch.build_runner(cfg)
    runner.train()
    assert runner.max_iters == runner.iter == DONE + 2
    assert runner.message_hub.get_info('eta') == 0


def without_optimizer(cfg, state):
    del state['optimizer']


def other_number_of_classes(cfg, state):
    cfg.model.head.num_classes = 7


def other_optimizer(cfg, state):
    cfg.optim_wrapper.optimizer = dict(type='SGD', lr=0.1, momentum=0.9, weight_decay=0.1)


def optimizer_that_takes_the_state_of_another(cfg, state):
    cfg.optim_wrapper.optimizer.type = 'RAdam'


def other_optimizer_than_that_of_an_unknown_config(cfg, state):
    other_optimizer(cfg, state)
    del state['meta']['cfg']


def other_groups(cfg, state):
    cfg.model.backbone.frozen_stages = 1
    cfg.optim_wrapper.paramwise_cfg = None


def other_kind_of_schedule(cfg, state):
    cfg.param_scheduler[1] = dict(type='CosineAnnealingLR', T_max=3)


def fewer_schedules(cfg, state):
    cfg.param_scheduler = cfg.param_scheduler[:1]


def by_iterations(cfg, state):
    state['meta']['cfg'] = 'train_cfg = dict(type="IterBasedTrainLoop", max_iters=4)'


def shorter(cfg, state):
    state['meta']['epoch'] = 3


@pytest.mark.parametrize(
    ('change', 'message'),
    [
        (without_optimizer, 'holds no optimizer'),
        (
            other_number_of_classes,
            r'fc.weight is \(7, 256\) in the config, \(4, 256\) .* has 4 classes: cross, disc',
        ),
        (other_optimizer, 'the checkpoint has another kind of optimizer'),
        (
            optimizer_that_takes_the_state_of_another,
            'another kind of optimizer, AdamW; the config has RAdam',
        ),
        (
            other_optimizer_than_that_of_an_unknown_config,
            'another kind of optimizer; only one of the two has .*betas',
        ),
        (other_groups, 'trains other parameters, or its paramwise_cfg differs'),
        (other_kind_of_schedule, 'is a CosineAnnealingLR, but the checkpoint has another kind'),
        (fewer_schedules, 'has 1 schedules, but the checkpoint 2'),
        (by_iterations, 'of a training by iterations, which counts no epochs'),
        (shorter, 'epoch 3, beyond train_cfg.max_epochs=2: nothing is left'),
    ],
)
def test_what_cannot_be_meant_is_refused(change, message, checkpoint, data, tmp_path):
    cfg = scheduled(data, tmp_path)
    state = torch.load(checkpoint, weights_only=False)
    change(cfg, state)
    torch.save(state, tmp_path / 'changed.pth')
    with pytest.raises(CannotResumeError, match=message) as raised:
        run(cfg, tmp_path / 'changed.pth')
    if change is not shorter:
        assert 'load_from' in str(raised.value)
