"""Importing mmrsir registers the backbone for the whole family."""

import importlib
import subprocess
import sys

import pytest
import torch
from mmengine.registry import MODELS, init_default_scope

import mmrsir

CONFIG = dict(type='RSIRTransformer', arch=dict(embed_dims=8, depths=(1, 1), num_heads=(1, 1)))
CONFIG['out_indices'] = (0, 1)


def test_registered_once_in_the_root():
    assert MODELS.module_dict['RSIRTransformer'] is mmrsir.models.RSIRTransformer
    assert MODELS.module_dict['PyramidTransformer'] is mmrsir.models.PyramidTransformer


@pytest.mark.parametrize('scope', ['mmengine', 'mmdet', 'mmseg', 'mmpretrain'])
def test_builds_and_runs_through_every_scope(scope):
    registry = importlib.import_module(f'{scope}.registry').MODELS
    init_default_scope(scope)
    outputs = registry.build(dict(CONFIG))(torch.zeros(1, 3, 32, 32))
    assert [tuple(out.shape) for out in outputs] == [(1, 8, 8, 8), (1, 16, 4, 4)]


def test_backbone_alone_needs_neither_the_libraries_nor_compiled_ops():
    code = """
import sys
for name in ('mmdet', 'mmseg', 'mmpretrain', 'mmcv._ext', 'mmcv.ops', 'pycocotools'):
    sys.modules[name] = None  # importing it raises ImportError
import torch
from mmengine.registry import MODELS
import mmrsir
model = MODELS.build(dict(type='RSIRTransformer', arch='nano'))
print(len(model(torch.zeros(1, 3, 32, 32))))
"""
    done = subprocess.run([sys.executable, '-c', code], capture_output=True, text=True)
    assert done.stdout.strip().endswith('4'), done.stderr
