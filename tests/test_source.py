"""Nothing in our source runs what it reads: no pickles, no shells, no text as code."""

import ast

import pytest

from .helpers.commands import ROOT

FILES = sorted(
    path.relative_to(ROOT).as_posix()
    for pattern in (
        'setup.py',
        'mmrsir/**/*.py',
        'tools/**/*.py',
        'configs/**/*.py',
        'benchmarks/**/*.py',
        'dev/*.py',
    )
    for path in ROOT.glob(pattern)
    if '.mim' not in path.parts
)
NAMES = {
    'eval',
    'exec',
    'builtins.eval',
    'builtins.exec',
    'mmengine.fileio.load',
    'mmengine.load',
    'os.popen',
    'os.system',
    'pickle.Unpickler',
    'pickle.load',
    'pickle.loads',
    'torch.hub.load',
    'torch.hub.load_state_dict_from_url',
    'yaml.full_load',
    'yaml.load',
    'yaml.unsafe_load',
}
MODULES = {'cloudpickle', 'dill', 'joblib', 'marshal', 'shelve'}
SETTINGS = {'allow_pickle', 'shell'}
ALLOWED = {
    ('mmrsir/checkpoints/safe_loading.py', 'torch.load'): 'what --unsafe-load is for',
    ('benchmarks/paper/rows.py', 'mmengine.fileio.load'): "reads our configs' metafiles",
}


def names_of(tree):
    """What each imported name stands for."""
    names = {}
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            for alias in node.names:
                name = alias.asname or alias.name.split('.')[0]
                names[name] = alias.name if alias.asname else name
        elif isinstance(node, ast.ImportFrom) and not node.level:
            for alias in node.names:
                names[alias.asname or alias.name] = f'{node.module}.{alias.name}'
    return names


def find_risks(source):
    """Names of what source code uses that can run what it reads."""
    tree = ast.parse(source)
    names = names_of(tree)

    def full_name(node):
        root, dot, rest = ast.unparse(node).partition('.')
        return names.get(root, root) + dot + rest

    found = {name for name in names.values() if name.split('.')[0] in MODULES}
    for node in ast.walk(tree):
        if isinstance(node, (ast.Name, ast.Attribute)) and full_name(node) in NAMES:
            found.add(full_name(node))
        elif isinstance(node, ast.Call):
            settings = {keyword.arg: ast.unparse(keyword.value) for keyword in node.keywords}
            if full_name(node.func) == 'torch.load' and settings.get('weights_only') != 'True':
                found.add('torch.load')
            found |= {name for name in SETTINGS if settings.get(name, 'False') != 'False'}
    return found


@pytest.mark.parametrize('file', FILES)
def test_source_runs_nothing_that_it_reads(file):
    allowed = {name for place, name in ALLOWED if place == file}
    assert find_risks((ROOT / file).read_text()) == allowed  # exceptions that are gone fail too


@pytest.mark.parametrize(
    ('source', 'name'),
    [
        ('import torch\ntorch.load(path)', 'torch.load'),
        ('from torch import load\nload(path, weights_only=False)', 'torch.load'),
        ('import torch as t\nt.load(path, weights_only=flag)', 'torch.load'),
        ('import pickle\npickle.load(file)', 'pickle.load'),
        ('from pickle import loads as read\nread(content)', 'pickle.loads'),
        ('import pickle\nread = pickle.loads', 'pickle.loads'),
        ('import joblib', 'joblib'),
        ('from dill import load', 'dill.load'),
        ('import yaml\nyaml.load(text, yaml.Loader)', 'yaml.load'),
        ('from mmengine import load\nload(path)', 'mmengine.load'),
        ('eval(text)', 'eval'),
        ('exec(text)', 'exec'),
        ('import os\nos.system(text)', 'os.system'),
        ('import subprocess\nsubprocess.run(text, shell=True)', 'shell'),
        ('import numpy\nnumpy.load(path, allow_pickle=True)', 'allow_pickle'),
    ],
)
def test_what_runs_is_found(source, name):
    assert find_risks(source) == {name}


@pytest.mark.parametrize(
    'source',
    [
        'import torch\ntorch.load(path, weights_only=True)',
        'import yaml\nyaml.safe_load(text)',
        'import pickle\npickle.dumps(value)',
        'model.eval()',
        'import subprocess\nsubprocess.run(arguments)',
    ],
)
def test_what_runs_nothing_is_left_alone(source):
    assert not find_risks(source)
