"""What is exported computes, at any size, what torch computes."""

import json
import sys
import warnings
from math import isnan

import pytest
import torch
from mmengine.registry import MODELS, init_default_scope
from mmpretrain.models import ClsHead, ImageClassifier
from mmpretrain.structures import DataSample
from torch import nn

from mmrsir.apis import Predictor
from mmrsir.checkpoints.reading import CheckpointMismatchError
from mmrsir.deployment import comparison, export
from mmrsir.deployment.parts import Backbone, take_part
from mmrsir.engine.config_files import read_file
from mmrsir.models import RSIRTransformer
from tools.deployment import export as export_tool

from ..helpers.commands import ROOT, run_here

ARCH = dict(embed_dims=16, depths=(2, 2, 1, 1), num_heads=(1, 2, 4, 8))
# Whole windows; a partial one, with all levels of odd sides; fewer tokens than a window.
SIZES = [(224, 224, 1), (225, 290, 3), (97, 130, 2)]
PARTS = {
    'cls': ('mmpretrain', 'classifier'),
    'upernet': ('mmseg', 'segmentor'),
    'mask_rcnn': ('mmdet', 'proposals'),
}


def write_and_load(module, tmp_path, kind):
    path = tmp_path / f'model.{kind}'
    if kind == 'onnx':
        export.export_onnx(module, path, {})
        return export.load_onnx(path)
    export.export_torch(module, path)
    return export.load_torch(path)


def test_what_torch_will_change_is_not_said_in_an_export(monkeypatch, recwarn):
    monkeypatch.setattr(
        torch.onnx, 'export', lambda *_, **__: warnings.warn('', FutureWarning, stacklevel=2)
    )
    export.to_onnx(nn.Identity(), (torch.zeros(1),))
    assert not recwarn.list


@pytest.mark.slow
@pytest.mark.parametrize(
    ('importance', 'kind'),
    [('mean', 'onnx'), ('mean', 'pt2'), ('cbam', 'onnx'), ('cbam', 'pt2')],
)
def test_one_export_of_the_backbone_serves_all_sizes(tmp_path, kind, importance):
    torch.manual_seed(0)
    model = RSIRTransformer(ARCH, importance=importance).eval()
    module = Backbone(model).eval()
    loaded = write_and_load(module, tmp_path, kind)
    for size in SIZES:
        assert comparison.largest_difference(module, loaded, size) < comparison.TOLERANCE


def test_a_plain_onnx_export_of_the_backbone_needs_no_table(tmp_path):
    torch.manual_seed(0)
    model = RSIRTransformer(ARCH).eval()
    path = tmp_path / 'plain.onnx'
    example = torch.rand(1, 3, 64, 96)
    torch.onnx.export(model, (example,), path, input_names=['images'], dynamo=True)
    loaded = export.load_onnx(path)
    assert comparison.largest_difference(model, loaded, (64, 96, 1)) < comparison.TOLERANCE
    # All patches are equally important.
    for expected, level in zip(model(example * 0), loaded(example * 0), strict=True):
        assert torch.allclose(expected, level, atol=comparison.TOLERANCE)


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
    module = take_part(model, *PARTS[folder])
    loaded = write_and_load(module, tmp_path, kind)
    for size in SIZES:
        assert comparison.largest_difference(module.predict, loaded, size) < comparison.TOLERANCE


class OwnHead(ClsHead):
    """A head that makes its scores in a way of its own."""

    def _get_predictions(self, cls_score, data_samples):
        return [DataSample().set_pred_score(score) for score in cls_score.tanh()]


LINEAR = dict(num_classes=2, in_channels=6)
HEADS = {
    'one label': dict(type='LinearClsHead', **LINEAR),
    'several labels': dict(type='MultiLabelLinearClsHead', **LINEAR),
    'several labels by attention': dict(type='CSRAClsHead', num_heads=1, lam=0.1, **LINEAR),
    'regression': dict(type='LinearRegressionHead', **LINEAR),
    'cosine': dict(type='ArcFaceClsHead', **LINEAR),
}
HEADS['several tasks'] = dict(
    type='MultiTaskHead', task_heads={name.split()[0]: HEADS[name] for name in list(HEADS)[:2]}
)


def classifier(head):
    """Return a small classifier with a head of mmpretrain."""
    init_default_scope('mmpretrain')
    backbone = RSIRTransformer(dict(ARCH, embed_dims=6, num_heads=(1, 1, 1, 1)), out_indices=(0,))
    attends = head.get('type') == 'CSRAClsHead'
    neck = None if attends else dict(type='GlobalAveragePooling')
    return ImageClassifier(backbone, neck, head).eval()


def labelled_differently(head):
    """Return a classifier whose scores of the two classes are far apart."""
    model = classifier(head)
    with torch.no_grad():
        for parameter in model.head.parameters():
            parameter.copy_(torch.linspace(-3, 3, parameter.numel()).view_as(parameter))
    return model


@pytest.mark.parametrize('head', HEADS)
def test_scores_are_what_the_classifier_predicts(head):
    model = labelled_differently(HEADS[head])
    part = take_part(model, 'mmpretrain')
    images = torch.rand(2, 3, 40, 30)
    scores, predicted = part(images), part.predict(images)
    assert len(scores) == len(predicted) == len(part.output_names)
    for one, other in zip(scores, predicted, strict=True):
        assert torch.equal(one, other)
    if head == 'several labels':
        assert torch.equal(scores[0], model(images).sigmoid())
    if head == 'several tasks':
        assert part.output_names == ['scores_one', 'scores_several']


def test_an_export_is_compared_with_what_the_classifier_predicts():
    model = labelled_differently(HEADS['several labels'])
    part = take_part(model, 'mmpretrain')
    right, wrong = (
        comparison.compare_outputs(part, of_logits, (33, 20, 1))
        for of_logits in (lambda x: model(x).sigmoid(), lambda x: model(x).softmax(1))
    )
    assert comparison.agree([right])
    assert not comparison.agree([wrong])


def test_scores_that_cannot_be_exported_are_refused():
    model = classifier(HEADS['one label'])
    model.head = OwnHead()
    with pytest.raises(ValueError, match='OwnHead cannot be exported: its scores'):
        take_part(model, 'mmpretrain')


@pytest.mark.parametrize('channels', [1, 2])
def test_maps_are_what_the_segmentor_predicts(channels):
    cfg = read_file(ROOT / 'configs/upernet/rsir_n_shapes.py').model
    cfg.backbone.arch = dict(ARCH)
    cfg.decode_head.update(in_channels=[16, 32, 64, 128], num_classes=2, out_channels=channels)
    cfg.decode_head.loss_decode = dict(type='CrossEntropyLoss', use_sigmoid=True)
    cfg.auxiliary_head = None
    cfg.test_cfg = dict(mode='slide', crop_size=(32, 32), stride=(32, 32))
    init_default_scope('mmseg')
    model = MODELS.build(cfg)
    part = take_part(model, 'mmseg')
    images = torch.rand(2, 3, 40, 70)
    with torch.no_grad():
        (scores,), (predicted,) = part(images), part.predict(images)
    assert scores.shape == (2, channels, 40, 70)
    assert torch.allclose(scores, predicted, atol=1e-6)
    assert model.test_cfg.mode == 'slide'


def test_proposals_are_made_of_what_the_detector_predicts_from():
    model = Predictor('mask_rcnn/rsir_n_shapes', device='cpu').model
    part = take_part(model, 'mmdet', 'proposals')
    images = torch.rand(2, 3, 65, 96)
    with torch.no_grad():
        outputs, predicted = part(images), part.predict(images)
    assert len(outputs) == len(predicted) == len(part.output_names)
    for one, other in zip(outputs, predicted, strict=True):
        assert torch.equal(one, other)


def test_a_difference_is_seen():
    model = RSIRTransformer(ARCH).eval()

    def disturbed(images):
        levels = list(model(images))
        levels[2] = levels[2] + 0.5
        return levels

    size = (33, 20, 1)
    with torch.no_grad():
        assert comparison.largest_difference(Backbone(model), disturbed, size) == pytest.approx(0.5)
        with pytest.raises(ValueError, match=r'outputs of \(33, 20, 1\) are'):
            comparison.largest_difference(Backbone(model), lambda images: model(images)[:3], size)

        def without_numbers(images):
            return [
                level * torch.nan if index == 1 else level
                for index, level in enumerate(model(images))
            ]

        assert isnan(comparison.largest_difference(Backbone(model), without_numbers, size))


def test_a_step_makes_almost_equal_images_differ():
    def steps(images):  # as a sort does, this turns the smallest change into a large one
        return [(images * 1e6 + 0.5).floor() % 2]

    assert comparison.own_difference(steps, (33, 20, 1)) == 1
    assert comparison.own_difference(nn.Identity(), (33, 20, 1)) < 1e-5
    part = Backbone(RSIRTransformer(ARCH))
    part.predict = steps
    same, other = (
        comparison.compare_outputs(part, one, (33, 20, 1)) for one in (steps, lambda x: [x * 0])
    )
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
    assert comparison.agree([comparison.Comparison(*one) for one in comparisons]) is agreed


def test_a_part_of_another_task_is_refused():
    with pytest.raises(ValueError, match="part='segmentor' is unknown; allowed: 'classifier'"):
        take_part(RSIRTransformer(ARCH), 'mmpretrain', 'segmentor')


def test_a_backbone_is_exported_from_its_weights_alone(tmp_path):
    config, path = 'cls/rsir_n_shapes', str(tmp_path / 'backbone.pth')
    weights = {
        f'backbone.{key}': torch.full_like(value, 0.5)
        for key, value in RSIRTransformer('nano', out_indices=(3,)).state_dict().items()
    }
    torch.save(dict(state_dict=weights), path)
    loaded = export_tool.load(config, path, 'backbone').model.backbone.state_dict()
    assert all((value == 0.5).all() for value in loaded.values())
    with pytest.raises(CheckpointMismatchError, match=r'no weights for head\.fc'):
        export_tool.load(config, path, 'classifier')
    del weights['backbone.patch_embed.projection.bias']
    torch.save(dict(state_dict=weights), path)
    with pytest.raises(CheckpointMismatchError, match=r'no weights for patch_embed\.projection'):
        export_tool.load(config, path, 'backbone')


def test_files_of_two_checkpoints_have_two_names(monkeypatch):
    names = []
    for checkpoint in ([], ['work_dirs/first/epoch_8.pth'], ['work_dirs/second/epoch_8.pth']):
        monkeypatch.setattr(sys, 'argv', ['export.py', 'cls/rsir_n_shapes', *checkpoint])
        arguments = export_tool.read_arguments()
        arguments.part = 'classifier'
        names.append(export_tool.output_file(arguments).name)
    assert names == [
        f'{run}_classifier.onnx' for run in ('cls_rsir_n_shapes', 'first_epoch_8', 'second_epoch_8')
    ]


@pytest.mark.slow
def test_tool_exports_and_compares(tmp_path, monkeypatch, capsys):
    out = tmp_path / 'classifier.onnx'
    arguments = ['cls/rsir_n_shapes', '--out', out, '--sizes', '64x96:2']
    run_here(monkeypatch, 'tools/deployment/export.py', *arguments)
    assert '64x96:2' in capsys.readouterr().out
    import onnxruntime

    described = onnxruntime.InferenceSession(out).get_modelmeta().custom_metadata_map
    assert len(json.loads(described['mean'])) == 3
