"""`import mmrsir` changes nothing that a library has; `mmrsir.replacements` does, and undoes it."""

import json
import subprocess
import sys

import pytest
from mmengine.registry import DATASETS, METRICS, TRANSFORMS, VISUALIZERS, init_default_scope
from mmengine.runner import CheckpointLoader

from mmrsir import replacements
from mmrsir.checkpoints.remote import LOADERS
from mmrsir.datasets import LoadImageFromFile
from mmrsir.evaluation import CheckedCocoMetric

# Prints what differs in the libraries after each step.
SCRIPT = """
import json, sys
import mmengine.infer, mmengine.hub, mmcv.transforms
import mmdet.apis, mmdet.datasets, mmdet.evaluation, mmseg.apis, mmseg.datasets
import mmpretrain.apis, mmpretrain.datasets
from mmengine.registry import Registry

FAMILY = ('mmengine', 'mmcv', 'mmdet', 'mmseg', 'mmpretrain')

def snapshot():
    seen = {}
    for name, module in list(sys.modules.items()):
        if module is None or name.partition('.')[0] not in FAMILY:
            continue
        for key, value in list(vars(module).items()):
            seen[f'{name}.{key}'] = value
            owned = getattr(value, '__module__', None) == name
            if isinstance(value, type) and owned:
                for attribute, one in list(vars(value).items()):
                    seen[f'{name}.{key}.{attribute}'] = one
                    if isinstance(one, dict):
                        seen |= {f'{name}.{key}.{attribute}[{item}]': x for item, x in one.items()}
            if isinstance(value, dict):
                seen |= {f'{name}.{key}[{item}]': x for item, x in value.items()}
            if isinstance(value, Registry):
                entries = value.module_dict.items()
                seen |= {f'{value.scope} {value.name} {item}': x for item, x in entries}
    return seen

def fill():
    for scope in FAMILY[2:]:
        registries = sys.modules[f'{scope}.registry']
        for registry in (registries.DATASETS, registries.METRICS, registries.TRANSFORMS,
                         registries.VISUALIZERS):
            registry.get('Nothing')

if sys.argv[1] == 'before':
    fill()
before = snapshot()

def differences():
    after = snapshot()
    return sorted(
        key for key, value in before.items()
        if after.get(key) is not value and not key.endswith('._schemes')  # its entries count
    )

found = []
import mmrsir
found.append(differences())
import mmrsir.replacements
fill()
found.append(differences())
mmrsir.replacements.enable()
mmrsir.replacements.disable()
found.append(differences())
mmrsir.replacements.enable()
found.append(differences())
print(json.dumps(found))
"""
BASES = ['mmengine.config.Config._get_cfg_path', 'mmengine.config.config.Config._get_cfg_path']


@pytest.fixture(scope='module', params=['before', pytest.param('after', marks=pytest.mark.slow)])
def steps(request):
    """What differs after each step of SCRIPT, with registries that are filled before or after."""
    command = [sys.executable, '-c', SCRIPT, request.param]
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=300)
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout.splitlines()[-1])


def test_importing_mmrsir_changes_nothing_but_where_its_own_bases_lie(steps):
    assert set(steps[0]) <= set(BASES)


def test_replacements_are_those_that_are_described(steps):
    changed = set(steps[1]) - set(BASES)
    classes = {
        'mmengine transform LoadImageFromFile',
        'mmpretrain transform LoadImageFromFile',
        'mmpretrain dataset CustomDataset',
        'mmseg dataset BaseSegDataset',
        'mmseg transform LoadAnnotations',
        'mmseg visualizer SegLocalVisualizer',
        'mmdet metric CocoMetric',
    }
    names = {one.rpartition('.')[2] for one in changed - classes}
    loaders = {f'_schemes[{prefix}]'.rpartition('.')[2] for prefix in LOADERS}
    assert classes <= changed and loaders <= names
    assert names - loaders == {'_get_models_from_metafile', 'import_from_location', 'draw_texts'}


def test_disabling_puts_everything_back(steps):
    assert set(steps[2]) <= set(BASES)
    assert steps[3] == steps[1]


def test_what_another_project_replaced_since_stays():
    theirs = CheckpointLoader.load_checkpoint
    try:
        CheckpointLoader.register_scheme('mmcls://', theirs, force=True)
        replacements.disable()
        assert CheckpointLoader._schemes['mmcls://'] == theirs
    finally:
        CheckpointLoader.register_scheme('mmcls://', LOADERS['mmcls://'], force=True)
        replacements.enable()


@pytest.mark.parametrize(
    ('scope', 'parent', 'name', 'module'),
    [
        ('mmdet', TRANSFORMS, 'LoadImageFromFile', LoadImageFromFile.__module__),
        ('mmseg', TRANSFORMS, 'LoadImageFromFile', LoadImageFromFile.__module__),
        ('mmpretrain', TRANSFORMS, 'LoadImageFromFile', LoadImageFromFile.__module__),
        ('mmseg', TRANSFORMS, 'LoadAnnotations', 'mmrsir.datasets.loading.mmseg'),
        ('mmseg', VISUALIZERS, 'SegLocalVisualizer', 'mmrsir.visualization.mmseg'),
        ('mmseg', DATASETS, 'BaseSegDataset', 'mmrsir.datasets.loading.mmseg'),
        ('mmpretrain', DATASETS, 'CustomDataset', 'mmrsir.datasets.loading.mmpretrain'),
        ('mmdet', METRICS, 'CocoMetric', CheckedCocoMetric.__module__),
        ('mmdet', METRICS, 'mmdet.CocoMetric', CheckedCocoMetric.__module__),
    ],
)
def test_a_config_gets_ours_by_the_librarys_name(scope, parent, name, module):
    init_default_scope(scope)
    with parent.switch_scope_and_registry(scope) as registry:
        assert registry.get(name).__module__ == module
