"""Configs of mechanisms: one network and one recipe a task, in which only the mixers change."""

import pytest

from mmrsir.engine.config_files import read_file
from mmrsir.models import ARCHS
from mmrsir.models.mixers import MIXERS

from .helpers.commands import ROOT

RUNS = {'cls': 'in1k', 'mask_rcnn': '1x_coco', 'upernet': '160k_ade20k_512x512'}
ROWS = {name: (name,) for name in MIXERS if name not in ('rs', 'ir')} | {'rsir': ('rs', 'ir')}


def read(task, row):
    return read_file(ROOT / f'configs/{task}/ablation/{row}_{RUNS[task]}.py').to_dict()


@pytest.mark.parametrize(
    'task',
    ['cls', *(pytest.param(one, marks=pytest.mark.slow) for one in ('mask_rcnn', 'upernet'))],
)
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


# Small networks on real images, whose row of RSIR is the config that they stand beside.
SMALL = {
    'cls': ('tinyimagenet', set(ROWS) - {'rsir'}),
    'mask_rcnn': ('dsb2018', {'shifted_window', 'grid'}),
    'upernet': ('camvid', {'shifted_window', 'grid'}),
}


@pytest.mark.parametrize('task', SMALL)
def test_small_rows_differ_from_nano_by_their_mixers_alone(task):
    data_set, expected = SMALL[task]
    paths = list(ROOT.glob(f'configs/{task}/ablation/*_n_{data_set}.py'))
    assert {path.name.split('_n_')[0] for path in paths} == expected
    nano = read_file(ROOT / f'configs/{task}/rsir_n_{data_set}.py').to_dict()
    backbone = nano['model'].pop('backbone')
    assert backbone.pop('type') == 'RSIRTransformer'
    backbone.update(arch=ARCHS[backbone['arch']], type='PyramidTransformer')
    for path in paths:
        row = read_file(path).to_dict()
        del row['backbone']
        mixed = row['model'].pop('backbone')
        assert mixed.pop('mixers') == ROWS[path.name.split('_n_')[0]]
        mixed.setdefault('init_cfg', None)
        assert mixed == {'init_cfg': None, **backbone}
        assert row == nano
