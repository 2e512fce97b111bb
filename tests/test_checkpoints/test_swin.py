"""Weights of Swin Transformers give the same outputs in PyramidTransformer."""

import runpy
import sys

import pytest
import torch
from mmdet.models.backbones import SwinTransformer as MMDetSwin
from mmpretrain.models.backbones import SwinTransformer as MMPretrainSwin
from timm.models.swin_transformer import SwinTransformer as TimmSwin

from mmrsir.checkpoints.reading import CheckpointMismatchError, load_pretrained
from mmrsir.checkpoints.swin import NoSwinError, convert_file, convert_swin
from mmrsir.engine.config_files import read_file
from mmrsir.models import PyramidTransformer

from ..helpers.commands import ROOT

WINDOW = 4  # fills the maps of the images below, none of which is as small as one
SHAPE = dict(embed_dims=8, depths=(2, 2, 2), num_heads=(1, 2, 4))
TIMM = dict(embed_dim=8, depths=(2, 2, 2), num_heads=(1, 2, 4), num_classes=5)


@pytest.fixture(autouse=True)
def seed():
    torch.manual_seed(0)


def randomize(model):
    """Give a model random weights, norms and biases included."""
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.normal_(std=0.3)
    model.eval()  # mmdet's returns nothing
    return model


def build(conversion, **settings):
    model = PyramidTransformer(
        conversion.arch,
        ('shifted_window',),
        downsampling='linear',
        position=None,
        window_size=conversion.window_size,
        **settings,
    )
    model.load_state_dict(conversion.weights)
    return model.eval()


def official(weights):
    """Return timm's weights by the names of Swin's repository, as published."""
    renamed = {}
    for key, value in weights.items():
        if '.downsample.' in key:
            _, stage, rest = key.split('.', 2)
            key = f'layers.{int(stage) - 1}.{rest}'
        renamed[key.replace('head.fc.', 'head.')] = value
    renamed['layers.0.blocks.1.attn_mask'] = torch.zeros(1)
    renamed['layers.0.blocks.0.attn.relative_position_index'] = torch.zeros(1)
    return renamed


@pytest.mark.parametrize('names', [dict, official])
@pytest.mark.parametrize(('window', 'side'), [(7, 112), (4, 128)])
def test_outputs_are_those_of_timm(names, window, side):
    swin = randomize(TimmSwin(img_size=side, window_size=window, **TIMM))
    conversion = convert_swin(names(swin.state_dict()))
    assert (conversion.arch, conversion.window_size) == (SHAPE, window)
    images = torch.randn(2, 3, side, side)
    with torch.no_grad():
        expected = swin.forward_features(images).permute(0, 3, 1, 2)
        (actual,) = build(conversion, out_indices=(2,))(images)
    torch.testing.assert_close(actual, expected, atol=1e-5, rtol=1e-5)
    assert all('head' in key for key in conversion.left_out) and conversion.left_out


@pytest.mark.parametrize('library', [MMDetSwin, MMPretrainSwin])
@pytest.mark.parametrize('size', [(256, 256), (256, 384)])
def test_outputs_are_those_of_mmdet_and_mmpretrain(library, size):
    if library is MMDetSwin:
        swin = library(
            embed_dims=8, depths=(2, 2, 2, 2), num_heads=(1, 2, 4, 8), window_size=WINDOW
        )
    else:
        arch = dict(embed_dims=8, depths=[2, 2, 2, 2], num_heads=[1, 2, 4, 8])
        swin = library(arch, out_indices=(0, 1, 2, 3), window_size=WINDOW)
    swin = randomize(swin)
    weights = {f'backbone.{key}': value for key, value in swin.state_dict().items()}
    weights['head.fc.weight'] = torch.zeros(1)
    conversion = convert_swin(weights)
    assert conversion.left_out == ['head.fc.weight']
    images = torch.randn(1, 3, *size)
    with torch.no_grad():
        expected, actual = swin(images), build(conversion)(images)
    assert len(actual) == 4
    for one, other in zip(actual, expected, strict=True):
        torch.testing.assert_close(one, other, atol=1e-5, rtol=1e-5)


@pytest.mark.parametrize('suffix', ['.pth', '.safetensors'])
def test_random_windows_take_all_but_the_bias_and_the_early_norms(tmp_path, suffix):
    swin = randomize(TimmSwin(img_size=112, window_size=7, **TIMM))
    torch.save(dict(model=swin.state_dict()), tmp_path / 'swin.pth')
    out = str(tmp_path / f'converted{suffix}')
    conversion = convert_file(str(tmp_path / 'swin.pth'), out)
    settings = dict(downsampling='linear', position=None, out_indices=(0, 1, 2))
    match = load_pretrained(PyramidTransformer(conversion.arch, ('rs', 'ir'), **settings), out)
    assert match.missing == [f'norm{i}.{kind}' for i in (0, 1) for kind in ('weight', 'bias')]
    assert len(match.unexpected) == 6 and not match.mismatched
    assert all(key.endswith('relative_position_bias_table') for key in match.unexpected)
    with pytest.raises(CheckpointMismatchError):  # of another shape
        load_pretrained(PyramidTransformer(dict(SHAPE, embed_dims=16), ('rs',), **settings), out)


def test_configs_of_the_ablation_have_swins_shape():
    backbone = read_file(
        ROOT / 'configs/mask_rcnn/ablation/shifted_window_1x_coco.py'
    ).model.backbone
    with torch.device('meta'):
        swin = TimmSwin()  # Swin-T by default
    conversion = convert_swin(swin.state_dict())
    assert conversion.arch == backbone.arch.to_dict()
    assert (backbone.downsampling, backbone.position) == ('linear', None)


@pytest.mark.parametrize(
    ('change', 'said'),
    [
        ({'layers.0.blocks.0.attn.logit_scale': torch.zeros(1)}, 'Swin V2'),
        ({'patch_embed.proj.weight': torch.zeros(8, 3, 2, 2)}, r'2 x 2 pixels; allowed: 4'),
    ],
)
def test_other_networks_are_refused(change, said):
    with torch.device('meta'):
        weights = TimmSwin(img_size=112, window_size=7, **TIMM).state_dict()
    with pytest.raises(NoSwinError, match=said):
        convert_swin({**weights, **change})
    with pytest.raises(
        NoSwinError, match='not the weights of a Swin Transformer: they lack a patch'
    ):
        convert_swin({'conv1.weight': torch.zeros(1)})


def test_tool_says_what_it_wrote(tmp_path, monkeypatch, capsys):
    torch.save(TimmSwin(img_size=112, window_size=7, **TIMM).state_dict(), tmp_path / 'swin.pth')
    script = str(ROOT / 'tools/model_converters/swin.py')
    monkeypatch.setattr(sys, 'argv', [script, str(tmp_path / 'swin.pth'), str(tmp_path / 'a.pth')])
    runpy.run_path(script, run_name='__main__')
    said = capsys.readouterr().out
    assert 'left out: head.fc.weight, head.fc.bias' in said
    assert 'arch=dict(embed_dims=8, depths=(2, 2, 2), num_heads=(1, 2, 4))' in said
    monkeypatch.setattr(sys, 'argv', [script, str(tmp_path / 'swin.pth'), str(tmp_path / 'a.bin')])
    with pytest.raises(SystemExit):
        runpy.run_path(script, run_name='__main__')
    assert 'a.bin must end with .pth or .safetensors' in capsys.readouterr().err
