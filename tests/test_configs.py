"""Every config file trains and evaluates, with the optimizer of its recipe."""

import random

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
# Learning rate, weight decay, stochastic depth.
RECIPES = {
    'configs/mask_rcnn/rsir_t_1x_coco.py': (1e-4, 0.05, 0.2),
    'configs/mask_rcnn/rsir_b_1x_coco.py': (1e-4, 0.05, 0.3),
    'configs/mask_rcnn/rsir_b36_1x_coco.py': (1e-4, 0.05, 0.3),
    'configs/mask_rcnn/rsir_t_1x-ms_coco.py': (1e-4, 0.05, 0.1),
    'configs/mask_rcnn/rsir_b_1x-ms_coco.py': (1e-4, 0.05, 0.3),
    'configs/mask_rcnn/rsir_b36_1x-ms_coco.py': (1e-4, 0.05, 0.3),
    'configs/mask_rcnn/rsir_t_3x-ms_coco.py': (1e-4, 0.05, 0.2),
    'configs/mask_rcnn/rsir_b_3x-ms_coco.py': (1e-4, 0.05, 0.3),
    'configs/mask_rcnn/rsir_b36_3x-ms_coco.py': (1e-4, 0.05, 0.3),
    'configs/upernet/rsir_t_160k_ade20k_512x512.py': (6e-5, 0.01, 0.3),
    'configs/upernet/rsir_b_160k_ade20k_512x512.py': (6e-5, 0.01, 0.3),
    'configs/upernet/rsir_b36_160k_ade20k_512x512.py': (6e-5, 0.01, 0.3),
    'configs/cls/rsir_t_in1k.py': (1e-3, 0.05, 0.2),
    'configs/cls/rsir_b_in1k.py': (1e-3, 0.05, 0.5),
    'configs/cls/rsir_b36_in1k.py': (1e-3, 0.05, 0.5),
    'configs/cls/rsir_t_caltech256.py': (1e-3, 0.05, 0.2),
    'configs/cls/rsir_b_caltech256.py': (1e-3, 0.05, 0.5),
    'configs/cls/rsir_b36_caltech256.py': (1e-3, 0.05, 0.5),
    'configs/cls/rsir_t_miniin.py': (1e-3, 0.05, 0.2),
    'configs/cls/rsir_b_miniin.py': (1e-3, 0.05, 0.5),
    'configs/cls/rsir_b36_miniin.py': (1e-3, 0.05, 0.5),
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


@pytest.mark.parametrize('path', RECIPES)
def test_recipe(path):
    cfg = load(path)
    optimizer = cfg.optim_wrapper.optimizer
    recipe = (optimizer.lr, optimizer.weight_decay, cfg.model.backbone.drop_path_rate)
    assert optimizer.type == 'AdamW'
    assert recipe == RECIPES[path]
    assert cfg.auto_scale_lr.base_batch_size == (256 if cfg.default_scope == 'mmpretrain' else 16)


def test_every_config_of_the_paper_has_its_recipe_checked():
    assert {path for path in CONFIGS if '/rsir_n_' not in path} == set(RECIPES)
