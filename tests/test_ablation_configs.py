"""The configs of Table 7: one network and one recipe a task, in which only the mixers change."""

import pytest
from mmengine.config import Config

from mmrsir.models.mixers import MIXERS

from .test_engine.commands import ROOT

RUNS = {'cls': 'in1k', 'mask_rcnn': '1x_coco', 'upernet': '160k_ade20k_512x512'}
ROWS = {name: (name,) for name in MIXERS if name not in ('rs', 'ir')} | {'rsir': ('rs', 'ir')}


def read(task, row):
    return Config.fromfile(ROOT / f'configs/{task}/ablation/{row}_{RUNS[task]}.py').to_dict()


@pytest.mark.parametrize('task', RUNS)
def test_rows_differ_by_their_mixers_alone(task):
    rows = {row: read(task, row) for row in ROWS}
    mixers = {row: cfg['model']['backbone'].pop('mixers') for row, cfg in rows.items()}
    assert mixers == ROWS
    assert all(cfg == rows['rsir'] for cfg in rows.values())


def test_the_tasks_have_one_backbone():
    backbones = [read(task, 'rsir')['model']['backbone'] for task in RUNS]
    for backbone in backbones:  # what does not change the weights
        for key in ('drop_path_rate', 'init_cfg', 'out_indices'):
            backbone.pop(key, None)
    assert all(backbone == backbones[0] for backbone in backbones)
