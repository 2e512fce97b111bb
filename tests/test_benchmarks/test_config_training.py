"""The trainer with all images on the device trains what the config trains."""

from dataclasses import replace
from pathlib import Path
from typing import ClassVar

import ablate
import pytest
import torch
from ablation import config_training
from ablation.config_training import ConfigSettings, _Training, epochs_within, train_config
from ablation.recipe import Recipe, Scores
from ablation.results import read_csv
from ablation.runs import keep_settings
from ablation.variants import CONFIG_VARIANTS, MECHANISMS
from mmengine.hooks import Hook
from mmengine.registry import HOOKS, MODELS
from PIL import Image

from mmrsir.checkpoints.config_text import read_settings
from mmrsir.engine import launch
from mmrsir.engine.config_files import read_file

from ..helpers.commands import ROOT, read_metrics, tool

CONFIG = ROOT / 'configs/cls/rsir_n_tinyimagenet.py'
NUMBER = 8  # images
EPOCHS = 6


@pytest.fixture(scope='module')
def images(tmp_path_factory) -> Path:
    """Images of noise in two classes, in the layout of the converted Tiny-ImageNet."""
    root = tmp_path_factory.mktemp('tiny_imagenet')
    (root / 'meta').mkdir()
    generator = torch.Generator().manual_seed(0)
    lines = []
    for i in range(NUMBER):
        noise = torch.randint(256, (8, 8, 3), generator=generator, dtype=torch.uint8)
        noise[..., 0] = 255 * (i % 2)
        Image.fromarray(noise.numpy()).resize((64, 64)).save(root / f'{i}.png')
        lines.append(f'{i}.png {i % 2}\n')
    for part in ('train', 'val'):
        (root / f'meta/{part}.txt').write_text(''.join(lines))
    return root


@pytest.fixture(scope='module')
def config(images, tmp_path_factory) -> str:
    """The shipped config for these images, without what is drawn at random."""
    cfg = read_file(CONFIG)
    cfg.data_root = f'{images}/'
    for part in ('train', 'val', 'test'):
        loader = cfg[f'{part}_dataloader']
        loader.update(num_workers=0, persistent_workers=False, batch_size=NUMBER)
        loader.dataset.data_root = cfg.data_root
        loader.dataset.classes = ['even', 'odd']
    cfg.train_dataloader.dataset.pipeline = cfg.test_dataloader.dataset.pipeline
    # Windows by importance alone: random ones depend on the order of the images in a batch.
    cfg.model.backbone.update(
        type='PyramidTransformer',
        mixers=('ir',),
        arch=dict(embed_dims=16, depths=(1, 1, 1, 1), num_heads=(2, 2, 2, 2)),
    )
    cfg.model.head.in_channels = 128
    cfg.train_cfg.update(max_epochs=EPOCHS, val_interval=EPOCHS)
    cfg.custom_hooks = [dict(type='ProgressiveResizeHook', sides=(32, 64), milestones=(4,))]
    cfg.param_scheduler[0].update(end=1, start_factor=0.5)
    cfg.optim_wrapper.optimizer.lr = 1e-2
    cfg.param_scheduler[1].update(begin=1, T_max=EPOCHS - 1, end=EPOCHS)
    path = tmp_path_factory.mktemp('configs') / 'small.py'
    cfg.dump(path)
    return str(path)


@HOOKS.register_module()
class LossesHook(Hook):
    """Keeps the loss of each iteration."""

    losses: ClassVar[list[float]] = []

    def after_train_iter(self, runner, batch_idx, data_batch=None, outputs=None):
        self.losses.append(outputs['loss'].item())


def test_losses_are_those_of_the_config(config, tmp_path):
    recipe = Recipe(config)
    training = _Training(recipe, 'rsir, IR only', recipe.load(), 0, 'cpu', tmp_path / 'kept.pth')
    begin = tmp_path / 'begin.pth'
    torch.save(dict(state_dict=training.model.state_dict()), begin)
    kept = []
    step = training._step

    def remember(*arguments):
        kept.append(step(*arguments))
        return kept[-1]

    training._step = remember
    training.run()

    cfg = launch.load_config(
        launch.argument_parser('').parse_args([config, '--work-dir', str(tmp_path / 'run')])
    )
    cfg.load_from = str(begin)
    cfg.custom_hooks.append(dict(type='LossesHook'))
    launch.build_runner(cfg).train()
    losses = LossesHook.losses
    assert len(losses) == EPOCHS and losses[-1] < losses[0] - 1
    # Keys have no gradient of their bias but rounding, which AdamW enlarges.
    torch.testing.assert_close(torch.stack(kept), torch.tensor(losses), atol=1e-4, rtol=0)


@pytest.mark.slow
def test_the_tool_trains_and_its_checkpoint_gives_the_same_accuracy(config, tmp_path):
    command = ['--config', config, '--device', 'cpu', '--out', str(tmp_path / 'out')]
    ablate.main([*command, '--variants', 'rsir, IR only', '--seeds', '1'])
    (row,) = read_csv(tmp_path / 'out/results.csv')
    assert row.task == 'small' and row.label == 'rsir, IR only'
    (checkpoint,) = (tmp_path / 'out/checkpoints').iterdir()
    tool('test.py', config, checkpoint, '--work-dir', tmp_path / 'test')
    assert read_metrics(tmp_path / 'test')['accuracy/top1'] == pytest.approx(row.accuracy)


@pytest.mark.slow
def test_an_interrupted_training_goes_on_as_if_it_had_not_been(config, tmp_path):
    settings = ConfigSettings(config, 2, 'cpu')
    recipe = Recipe(config)
    task = recipe.load()
    whole = train_config('rsir', task, 0, settings, tmp_path / 'whole.pth')
    assert [row.evaluation for row in whole] == ['fixed', 'random', 'mean of 2 draws']

    recipe.epochs = 2
    _Training(recipe, 'rsir', task, 0, 'cpu', tmp_path / 'parts.pth').run()
    train_config('rsir', task, 0, settings, tmp_path / 'parts.pth')
    weights = [
        torch.load(tmp_path / f'{name}.pth', weights_only=False)['state_dict']
        for name in ('whole', 'parts')
    ]
    assert all(torch.equal(weights[0][key], weights[1][key]) for key in weights[0])


def test_other_epochs_move_all_that_happens_in_an_epoch(config):
    cfg = Recipe(config, 2 * EPOCHS).cfg
    warmup, cosine = cfg.param_scheduler
    assert cfg.train_cfg.max_epochs == cosine.end == 2 * EPOCHS
    assert warmup.end == cosine.begin == 2 and cosine.T_max == 2 * (EPOCHS - 1)
    assert cfg.custom_hooks[0].milestones == [8]
    with pytest.raises(ValueError, match='1 epochs are too few for the CosineAnnealingLR'):
        Recipe(config, 1)


def test_as_many_epochs_as_fit_are_kept_for_a_resume(config, tmp_path, monkeypatch):
    settings = ConfigSettings(config, 2, 'cpu')
    monkeypatch.setattr(
        config_training, '_seconds_per_epoch', lambda _, variant: {'rsir': 20, 'grid': 30}[variant]
    )
    for minutes, epochs in ((100, EPOCHS), (2, 3)):
        found = epochs_within(minutes, settings, ['rsir', 'grid'], tmp_path)
        assert found == replace(settings, epochs=epochs)
    with pytest.raises(ValueError, match='an epoch takes 30 seconds'):
        epochs_within(1, settings, ['rsir', 'grid'], tmp_path)
    keep_settings(found, tmp_path)
    assert epochs_within(1, settings, ['rsir', 'grid'], tmp_path) == found


def test_the_speed_is_measured_by_steps_of_the_training(config):
    before = torch.get_float32_matmul_precision()
    assert 0 < config_training._seconds_per_epoch(ConfigSettings(config, 2, 'cpu'), 'rsir') < 60
    assert torch.get_float32_matmul_precision() == before


def test_augmentation_ahead_changes_no_step(config, tmp_path, monkeypatch):
    recipe = Recipe(config)
    recipe.batch_size = 2
    task, losses = recipe.load(), []
    for ahead in (1, 4):
        monkeypatch.setattr(config_training, 'AHEAD', ahead)
        training = _Training(recipe, 'rsir, IR only', task, 0, 'cpu', tmp_path / 'kept.pth')
        losses.append(training._run_epoch(training._recorded(None), None, training.steps))
    assert losses[0] == losses[1]


@pytest.mark.parametrize('variant', CONFIG_VARIANTS)
def test_bfloat16_gives_scores_of_float32_and_each_weight_a_gradient(config, variant):
    """A graph is recorded only where each weight has one."""
    model = Recipe(config).build_model(variant).train()
    images = torch.rand(2, 3, 64, 64) * 255
    scores = Scores(model, torch.bfloat16)(images)
    assert scores.dtype == torch.float32
    scores.sum().backward()
    assert all(weight.grad is not None for weight in model.parameters())


@pytest.mark.parametrize('variant', CONFIG_VARIANTS)
def test_variants_change_what_their_name_says(config, variant):
    settings = CONFIG_VARIANTS[variant]
    named = {key for key in ('position', 'importance') if f'{key}=' in variant}
    assert set(settings) == {'mixers', *named, *(['window_size'] if '16 tokens' in variant else [])}
    if variant not in MECHANISMS and not variant.endswith('only'):
        assert settings['mixers'] == MECHANISMS['rsir']
    assert Recipe(config).build_model(variant).head.num_classes == 200


def test_an_average_of_the_weights_is_tested_and_kept(config, tmp_path):
    recipe = Recipe(config)
    recipe.ema = dict(momentum=0.5)
    task = recipe.load()
    training = _Training(recipe, 'rsir, IR only', task, 0, 'cpu', tmp_path / 'kept.pth')
    expected = {key: value.clone() for key, value in training.model.named_parameters()}
    step = training._step

    def average(*arguments):
        loss = step(*arguments)
        first = training.ema.steps == 1  # the average begins with the weights after the first step
        for key, value in training.model.named_parameters():
            expected[key] = value.clone() if first else (expected[key] + value) / 2
        return loss

    training._step = average
    training.run()
    kept = torch.load(tmp_path / 'kept.pth', weights_only=False)['state_dict']
    for key, value in expected.items():
        torch.testing.assert_close(kept[key], value.detach(), msg=key)


@pytest.mark.parametrize(
    ('change', 'message'),
    [
        (dict(default_scope='mmdet'), 'no config of mmpretrain'),
        (dict(custom_hooks=[dict(type='SyncBuffersHook')]), 'has SyncBuffersHook'),
    ],
)
def test_what_cannot_be_compared_is_refused(config, tmp_path, change, message):
    cfg = read_file(config)
    cfg.merge_from_dict(change)
    cfg.dump(tmp_path / 'other.py')
    with pytest.raises(ValueError, match=message):
        Recipe(str(tmp_path / 'other.py'))


def test_a_checkpoint_builds_its_backbone(config, tmp_path):
    recipe = Recipe(config)
    checkpoint = tmp_path / 'ir.pth'
    text = recipe.config_text('rsir, IR only')
    weights = recipe.build_model('rsir, IR only').state_dict()
    torch.save(dict(state_dict=weights, meta=dict(cfg=text)), checkpoint)
    found = read_settings(text)['model']['backbone']
    model = MODELS.get(found['type']).from_pretrained(str(checkpoint))
    for key, value in model.state_dict().items():
        assert torch.equal(value, weights[f'backbone.{key}']), key
