"""What is exported computes, at any size, what torch computes."""

import json
import runpy
import sys
from math import isnan

import pytest
import torch

from mmrsir.apis import Predictor
from mmrsir.deployment import export
from mmrsir.deployment.subjects import Backbone, take_part
from mmrsir.models import RSIRTransformer

from ..test_engine.commands import ROOT

ARCH = dict(embed_dims=16, depths=(2, 2, 1, 1), num_heads=(1, 2, 4, 8))
# Whole windows; a partial one, with all levels of odd sides; fewer tokens than a window.
SIZES = [(224, 224, 1), (225, 290, 3), (97, 130, 2)]
PARTS = {'cls': 'mmpretrain', 'upernet': 'mmseg', 'mask_rcnn': 'mmdet'}


def write_and_load(module, tmp_path, kind):
    path = tmp_path / f'model.{kind}'
    if kind == 'onnx':
        export.export_onnx(module, path, {})
        return export.load_onnx(path)
    export.export_torch(module, path)
    return export.load_torch(path)


@pytest.mark.parametrize(
    ('importance', 'kind'),
    [
        ('mean', 'onnx'),
        *(
            pytest.param(importance, kind, marks=pytest.mark.slow)
            for importance, kind in [('mean', 'pt2'), ('cbam', 'onnx'), ('cbam', 'pt2')]
        ),
    ],
)
def test_one_export_of_the_backbone_serves_all_sizes(tmp_path, kind, importance):
    torch.manual_seed(0)
    model = RSIRTransformer(ARCH, importance=importance).eval()
    loaded = write_and_load(Backbone(model), tmp_path, kind)
    for size in SIZES:
        assert export.largest_difference(Backbone(model), loaded, size) < export.TOLERANCE


@pytest.mark.slow
@pytest.mark.parametrize(
    ('folder', 'kind'),
    [
        ('cls', 'pt2'),
        ('cls', 'onnx'),
        ('upernet', 'pt2'),
        ('upernet', 'onnx'),
        ('mask_rcnn', 'onnx'),
    ],
)
def test_one_export_of_a_model_serves_all_sizes(tmp_path, folder, kind):
    torch.manual_seed(0)
    model = Predictor(f'{folder}/rsir_n_shapes', device='cpu').model
    module = take_part(model, PARTS[folder])
    loaded = write_and_load(module, tmp_path, kind)
    for size in SIZES:
        assert export.largest_difference(module, loaded, size) < export.TOLERANCE


def test_a_difference_is_seen():
    model = RSIRTransformer(ARCH).eval()

    def disturbed(images):
        levels = list(model(images))
        levels[2] = levels[2] + 0.5
        return levels

    size = (33, 20, 1)
    with torch.no_grad():
        assert export.largest_difference(Backbone(model), disturbed, size) == pytest.approx(0.5)
        with pytest.raises(ValueError, match=r'outputs of \(33, 20, 1\) are'):
            export.largest_difference(Backbone(model), lambda images: model(images)[:3], size)

        def without_numbers(images):
            return [
                level * torch.nan if index == 1 else level
                for index, level in enumerate(model(images))
            ]

        assert isnan(export.largest_difference(Backbone(model), without_numbers, size))


def test_a_step_makes_almost_equal_images_differ():
    def steps(images):  # as a sort does, this turns the smallest change into a large one
        return [(images * 1e6 + 0.5).floor() % 2]

    assert export.own_difference(steps, (33, 20, 1)) == 1
    assert export.own_difference(torch.nn.Identity(), (33, 20, 1)) < 1e-5
    same, other = (export.compare(steps, one, (33, 20, 1)) for one in (steps, lambda x: [x * 0]))
    assert same == (0, None)
    assert other.difference == other.own == 1


@pytest.mark.parametrize(
    ('comparisons', 'agreed'),
    [
        ([(1e-5, None), (1e-5, None)], True),
        ([(1e-5, None), (0.12, 0.1)], True),
        ([(1e-5, None), (0.12, 0.05)], False),
        ([(0.12, 0.1), (0.12, 0.1)], False),
        ([(1e-5, None), (float('nan'), 0.1)], False),
    ],
)
def test_an_export_may_differ_as_torch_does_but_not_everywhere(comparisons, agreed):
    assert export.agree([export.Comparison(*one) for one in comparisons]) is agreed


def test_a_part_of_another_task_is_refused():
    with pytest.raises(ValueError, match="part='segmentor' is unknown; allowed: 'backbone'"):
        take_part(RSIRTransformer(ARCH), 'mmpretrain', 'segmentor')


@pytest.mark.slow
def test_tool_exports_and_compares(tmp_path, monkeypatch, capsys):
    tool = ROOT / 'tools/deployment/export.py'
    out = tmp_path / 'classifier.onnx'
    arguments = ['cls/rsir_n_shapes', '--out', str(out), '--sizes', '64x96:2']
    monkeypatch.setattr(sys, 'argv', [str(tool), *arguments])
    runpy.run_path(str(tool), run_name='__main__')
    assert '64x96:2' in capsys.readouterr().out
    import onnxruntime

    described = onnxruntime.InferenceSession(out).get_modelmeta().custom_metadata_map
    assert len(json.loads(described['mean'])) == 3
