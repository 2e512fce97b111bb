"""Every config file trains and evaluates, with the optimizer of its recipe."""

import random
from fnmatch import fnmatch

import numpy as np
import pytest
from mmcv.cnn import is_norm
from mmengine.config import Config
from mmengine.registry import DATASETS, init_default_scope

from mmrsir.engine import launch
from mmrsir.visualization.curves import read_scalars

from .shrink import ITERATIONS, shrink
from .test_engine.commands import METRIC, ROOT

CONFIGS = sorted(str(path.relative_to(ROOT)) for path in ROOT.glob('configs/[!_]*/*.py'))
# Learning rate, weight decay, stochastic depth, of each family of configs.
RECIPES = {
    'configs/mask_rcnn/rsir_t_1x_coco.py': (1e-4, 0.05, 0.2),
    'configs/mask_rcnn/rsir_t_1x-ms_coco.py': (1e-4, 0.05, 0.1),
    'configs/mask_rcnn/rsir_t_3x-ms_coco.py': (1e-4, 0.05, 0.2),
    'configs/mask_rcnn/rsir_b*_*_coco.py': (1e-4, 0.05, 0.3),
    'configs/upernet/rsir_[tb]*_160k_*.py': (6e-5, 0.01, 0.3),
    'configs/cls/rsir_t_*.py': (1e-3, 0.05, 0.2),
    'configs/cls/rsir_b*_*.py': (1e-3, 0.05, 0.5),
}


def load(path):
    cfg = Config.fromfile(ROOT / path)
    init_default_scope(cfg.default_scope)
    return cfg


@pytest.mark.parametrize('path', CONFIGS)
def test_trains_and_evaluates_and_decays_what_its_recipe_says(path, data, tmp_path):
    cfg = launch.load_config(launch.argument_parser('').parse_args([str(ROOT / path)]))
    runner = launch.build_runner(shrink(cfg, str(data), str(tmp_path)))
    runner.train()

    scalars = read_scalars(
        next(tmp_path.glob('*/vis_data/scalars.json')), ['loss', METRIC[cfg.default_scope]]
    )
    for steps, values in scalars.values():
        assert np.isfinite(values).all()
        assert steps[-1] == ITERATIONS
    assert len(scalars['loss'][1]) == ITERATIONS

    groups = runner.optim_wrapper.optimizer.param_groups
    decay = {id(p): group['weight_decay'] for group in groups for p in group['params']}
    for module in runner.model.modules():
        for parameter in module.parameters(recurse=False):
            flat = cfg.default_scope == 'mmpretrain' and parameter.ndim == 1
            expected = 0 if is_norm(module) or flat else cfg.optim_wrapper.optimizer.weight_decay
            assert decay[id(parameter)] == expected


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


@pytest.mark.parametrize('path', [path for path in CONFIGS if '/rsir_n_' not in path])
def test_recipe(path):
    (expected,) = (recipe for family, recipe in RECIPES.items() if fnmatch(path, family))
    cfg = load(path)
    optimizer = cfg.optim_wrapper.optimizer
    assert optimizer.type == 'AdamW'
    recipe = (optimizer.lr, optimizer.weight_decay, cfg.model.backbone.drop_path_rate)
    assert recipe == expected
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
