"""Every config file trains and evaluates, with the optimizer of its recipe."""

import random
import re
from fnmatch import fnmatch

import numpy as np
import pytest
from mmcv.cnn import is_norm
from mmengine.registry import DATASETS, init_default_scope

from mmrsir.checkpoints.reading import match_weights
from mmrsir.engine import launch
from mmrsir.visualization.curves import log_files, read_log

from .helpers.commands import METRIC, ROOT
from .helpers.configs import CONFIGS, read
from .helpers.shrink import ITERATIONS, build_shapes, shrink

BASELINES = [path for path in CONFIGS if '/baselines/' in path]
# Learning rate, weight decay, stochastic depth, of each family of configs.
RECIPES = {
    'configs/mask_rcnn/rsir_t_1x_coco.py': (1e-4, 0.05, 0.2),
    'configs/mask_rcnn/rsir_t_1x-ms_coco.py': (1e-4, 0.05, 0.1),
    'configs/mask_rcnn/rsir_t_3x-ms_coco.py': (1e-4, 0.05, 0.2),
    'configs/mask_rcnn/rsir_b*_*_coco.py': (1e-4, 0.05, 0.3),
    'configs/mask_rcnn/faster_rcnn_rsir_t_1x_coco.py': (1e-4, 0.05, 0.2),
    'configs/upernet/rsir_[tb]*_160k_*.py': (6e-5, 0.01, 0.3),
    'configs/cls/rsir_t_[!t]*.py': (1e-3, 0.05, 0.2),
    'configs/cls/rsir_s_tinyimagenet.py': (2e-3, 0.05, 0.1),
    'configs/cls/rsir_t_tinyimagenet.py': (2e-3, 0.05, 0.2),
    'configs/cls/rsir_b*_*.py': (1e-3, 0.05, 0.5),
    'configs/mask_rcnn/baselines/resn*_1x_*': (0.02, 1e-4, None),
    'configs/mask_rcnn/baselines/pvt_s_*': (1e-4, 0.05, 0.1),
    'configs/mask_rcnn/baselines/pvt_l_*': (1e-4, 0.05, 0.0),
    'configs/mask_rcnn/baselines/twins_*': (1e-4, 0.05, 0.2),
    'configs/mask_rcnn/baselines/[sm]*_t_*': (1e-4, 0.05, 0.2),
    'configs/mask_rcnn/baselines/[sm]*_b_*': (1e-4, 0.05, 0.3),
    'configs/mask_rcnn/baselines/cswin_t_*': (1e-4, 0.05, 0.1),
    'configs/mask_rcnn/baselines/cswin_b_*': (1e-4, 0.05, 0.5),
    'configs/upernet/baselines/twins_s_*': (6e-5, 0.01, 0.2),
    'configs/upernet/baselines/twins_l_*': (6e-5, 0.01, 0.3),
    'configs/upernet/baselines/[sm]*_[tb]_*': (6e-5, 0.01, 0.3),
    'configs/upernet/baselines/cswin_t_*': (6e-5, 0.01, 0.2),
    'configs/upernet/baselines/cswin_b_*': (6e-5, 0.01, 0.6),
    'configs/cls/baselines/vit_b_*': (1e-3, 0.05, 0.0),
    'configs/cls/baselines/regnety_*': (1e-3, 0.05, 0.1),
    'configs/cls/baselines/deit_*': (1e-3, 0.05, 0.1),
    'configs/cls/baselines/pvt_s_*': (1e-3, 0.05, 0.1),
    'configs/cls/baselines/pvt_b_*': (1e-3, 0.05, 0.3),
    'configs/cls/baselines/*_t_*': (1e-3, 0.05, 0.2),
    'configs/cls/baselines/swin_b_*': (1e-3, 0.05, 0.5),
    'configs/cls/baselines/cswin_b_*': (1e-3, 0.1, 0.5),
    'configs/cls/baselines/maxvit_b_*': (1e-3, 0.05, 0.4),
    'configs/cls/ablation/*_in1k.py': (1e-3, 0.05, 0.2),
    'configs/mask_rcnn/ablation/*_coco.py': (1e-4, 0.05, 0.2),
    'configs/upernet/ablation/*_ade20k_*': (6e-5, 0.01, 0.3),
}
# Small networks, each with a recipe of its own.
SMALL = re.compile(r'/rsir_n_|_n_|_dsb2018')
# Parameters that tell positions, and class tokens: they never decay.
POSITIONS = ('cls_token', 'pos_embed', 'relative_position_bias_table')
# Sections of a config that a model does not touch.
SHARED = (
    'custom_imports',
    'data_preprocessor',
    'default_hooks',
    'optim_wrapper',
    'param_scheduler',
    'randomness',
    'train_cfg',
    'train_dataloader',
    'val_dataloader',
    'test_dataloader',
    'auto_scale_lr',
)


def load(path):
    cfg = read(path)
    init_default_scope(cfg.default_scope)
    return cfg


# The quick tests train RSIR for each task, one mechanism of Table 7 and one baseline.
QUICK = re.compile(
    r'/rsir_n_shapes|cls/rsir_t_in1k|_rcnn/rsir_t_1x_coco'
    r'|cls/ablation/grid_in1k|cls/baselines/swin_t_in1k'
)
TRAINED = [
    path if QUICK.search(path) else pytest.param(path, marks=pytest.mark.slow) for path in CONFIGS
]


def test_every_config_finds_small_data(data):
    for path in CONFIGS:
        content = str(read(path).to_dict())
        for found in set(re.findall(r"'data/([^/']+)", content)):
            assert (data / found).is_dir(), f'{path} reads data/{found}'


@pytest.mark.parametrize('path', TRAINED)
def test_trains_and_evaluates_and_decays_what_its_recipe_says(path, data, tmp_path):
    cfg = launch.load_config(launch.argument_parser('').parse_args([str(ROOT / path)]))
    runner = launch.build_runner(shrink(cfg, str(data), str(tmp_path)))
    runner.train()

    metric = 'coco/bbox_mAP' if '/faster_rcnn_' in path else METRIC[cfg.default_scope]
    curves = read_log(log_files(tmp_path)).curves()
    scalars = {key: curves[key] for key in ('loss', metric)}
    for steps, values in scalars.values():
        assert np.isfinite(values).all()
        assert steps[-1] == ITERATIONS
    assert len(scalars['loss'][1]) == ITERATIONS

    optimizer = runner.optim_wrapper.optimizer
    groups = optimizer.param_groups
    decay = {id(p): group['weight_decay'] for group in groups for p in group['params']}
    adam = cfg.optim_wrapper.optimizer.type == 'AdamW'
    rules = cfg.optim_wrapper.get('paramwise_cfg', {}).get('custom_keys', {})
    exempt = [key for key, rule in rules.items() if rule.get('decay_mult') == 0]
    for prefix, module in runner.model.named_modules():
        for name, parameter in module.named_parameters(recurse=False):
            flat = cfg.default_scope == 'mmpretrain' and parameter.ndim == 1
            listed = name in POSITIONS or any(key in f'{prefix}.{name}' for key in exempt)
            spared = adam and (is_norm(module) or flat or listed)
            expected = 0 if spared else cfg.optim_wrapper.optimizer.weight_decay
            assert decay[id(parameter)] == expected, f'{prefix}.{name}'
            # One without a gradient would stop training in several processes.
            assert (parameter in optimizer.state) == parameter.requires_grad, f'{prefix}.{name}'


@pytest.mark.parametrize(
    ('schedule', 'epochs', 'steps', 'warmup'),
    [('1x', 12, [8, 11], 1000), ('1x-ms', 12, [8, 11], 500), ('3x-ms', 36, [27, 33], 1000)],
)
def test_detection_schedules(schedule, epochs, steps, warmup):
    cfg = load(f'configs/mask_rcnn/rsir_t_{schedule}_coco.py')
    assert cfg.train_cfg.max_epochs == epochs
    assert [cfg.param_scheduler[0].end, cfg.param_scheduler[1].end] == [warmup, epochs]
    assert cfg.param_scheduler[1].milestones == steps
    kinds = [transform.type for transform in cfg.train_dataloader.dataset.pipeline]
    assert ('RandomChoice' in kinds) == schedule.endswith('-ms')


def test_multi_scale_training_images_differ_in_size(coco2017):
    cfg = load('configs/mask_rcnn/rsir_t_3x-ms_coco.py')
    dataset = DATASETS.build(dict(cfg.train_dataloader.dataset, data_root=str(coco2017)))
    random.seed(0)
    np.random.seed(0)
    shapes = set()
    for _ in range(4):
        for sample in dataset:
            height, width = sample['inputs'].shape[1:]
            assert max(height, width) <= 1333 and min(height, width) <= 800
            assert sample['data_samples'].gt_instances.masks.masks.shape[1:] == (height, width)
            shapes.add((height, width))
    assert len(shapes) > 10


@pytest.mark.parametrize('path', [path for path in CONFIGS if not SMALL.search(path)])
def test_recipe(path):
    (expected,) = (recipe for family, recipe in RECIPES.items() if fnmatch(path, family))
    cfg = load(path)
    optimizer = cfg.optim_wrapper.optimizer
    drop_path_rate = cfg.model.backbone.get('drop_path_rate')
    assert optimizer.type == ('SGD' if drop_path_rate is None else 'AdamW')
    assert (optimizer.lr, optimizer.weight_decay, drop_path_rate) == expected
    assert cfg.auto_scale_lr.base_batch_size == (256 if cfg.default_scope == 'mmpretrain' else 16)


@pytest.mark.parametrize(
    ('data_set', 'epochs'), [('in1k', 300), ('caltech256', 100), ('miniin', 100)]
)
def test_classification_schedules(data_set, epochs):
    cfg = load(f'configs/cls/rsir_t_{data_set}.py')
    warmup, cosine = cfg.param_scheduler
    assert cfg.train_cfg.max_epochs == epochs
    assert (warmup.type, warmup.end, warmup.start_factor) == ('LinearLR', 20, 1e-3)
    assert (cosine.type, cosine.begin, cosine.eta_min) == ('CosineAnnealingLR', 20, 1e-5)
    assert cfg.optim_wrapper.clip_grad.max_norm == 5
    assert [(one.type, one.alpha) for one in cfg.model.train_cfg.augments] == [
        ('Mixup', 0.8),
        ('CutMix', 1.0),
    ]
    assert cfg.model.head.num_classes == cfg.data_preprocessor.num_classes


def test_segmentation_schedule():
    cfg = load('configs/upernet/rsir_t_160k_ade20k_512x512.py')
    warmup, poly = cfg.param_scheduler
    assert (cfg.train_cfg.max_iters, cfg.train_cfg.val_interval) == (160000, 16000)
    assert (warmup.type, warmup.end, warmup.start_factor) == ('LinearLR', 1500, 1e-6)
    assert (poly.type, poly.begin, poly.end, poly.power) == ('PolyLR', 1500, 160000, 1.0)


def _shared_sections(path):
    sections = load(path).to_dict()
    sections['optim_wrapper']['paramwise_cfg']['custom_keys'] = {}
    del sections['optim_wrapper']['optimizer']['weight_decay']  # RECIPES has it
    text = str([sections.get(key) for key in SHARED])
    return text.replace(", '_scope_': 'mmpretrain'", '')  # of what comes from a library's base


@pytest.mark.parametrize('path', [path for path in BASELINES if '/resn' not in path])
def test_baselines_have_the_data_and_the_schedule_of_rsir_t(path):
    folder, name = path.split('/baselines/')
    run = name.split('_', 2)[-1]
    text, expected = (_shared_sections(one) for one in (path, f'{folder}/rsir_t_{run}'))
    if '/vit_b_' in path:  # its images are larger
        text = text.replace('384', '224').replace('438', '256')
    if '/deit_' in path:
        text = text.replace('RepeatAugSampler', 'DefaultSampler')
    assert text == expected


@pytest.mark.parametrize(
    ('dense', 'classifier'),
    [
        ('mask_rcnn/baselines/swin_t_1x_coco', 'swin_t'),
        ('mask_rcnn/baselines/pvt_l_1x_coco', 'pvt_b'),
        ('mask_rcnn/baselines/cswin_t_1x_coco', 'cswin_t'),
        ('upernet/baselines/swin_b_160k_ade20k_512x512', 'swin_b'),
        ('upernet/baselines/maxvit_t_160k_ade20k_512x512', 'maxvit_t'),
    ],
)
def test_classifiers_have_the_backbones_of_detectors_and_segmentors(dense, classifier):
    trained = build_shapes(load(f'configs/cls/baselines/{classifier}_in1k.py')).backbone
    started = build_shapes(load(f'configs/{dense}.py'))
    missing = match_weights(started.backbone, trained.state_dict()).missing
    assert all(re.match(r'norm\d\.', key) for key in missing)
    weights = {f'backbone.{key}': value for key, value in trained.state_dict().items()}
    assert match_weights(started, weights).share > 0.4  # which the heads of the configs name
