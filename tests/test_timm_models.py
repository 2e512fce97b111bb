"""timm builds RSIR for every project that takes its backbones from there."""

import subprocess
import sys

import pytest
import timm
import torch
from mmengine.registry import MODELS
from mmpretrain.models import TIMMBackbone
from safetensors.torch import save_file
from timm.models import group_parameters, model_parameters

import mmrsir.timm_models
from mmrsir.models import ARCHS, RSIRTransformer

IMAGES = torch.rand(2, 3, 50, 70)


@pytest.mark.parametrize('arch', ARCHS)
def test_each_variant_has_a_name(arch):
    with torch.device('meta'):
        expected = RSIRTransformer(arch)
    model = timm.create_model(f'rsir_{arch}', features_only=True)
    assert model.feature_info.channels() == list(expected.out_channels)
    assert model.feature_info.reduction() == [4, 8, 16, 32]
    assert sum(one.numel() for one in model.parameters()) == sum(
        one.numel() for one in expected.parameters()
    )


@pytest.mark.parametrize('out_indices', [None, 2, (0, 1), (1, -1), (3, 1)])
def test_features_are_those_of_the_backbone(out_indices):
    settings = {} if out_indices is None else dict(out_indices=out_indices)
    model = timm.create_model('rsir_nano', features_only=True, **settings).eval()
    backbone = RSIRTransformer('nano').eval()
    backbone.load_state_dict(model.model.backbone.state_dict(), strict=False)
    levels = backbone(IMAGES)
    stages = {None: (0, 1, 2, 3), 2: (2, 3)}.get(out_indices, out_indices)
    found = model(IMAGES)
    assert len(found) == len(stages) == len(model.feature_info.channels())
    for one, stage, channels in zip(found, stages, model.feature_info.channels(), strict=True):
        assert torch.equal(one, levels[stage])
        assert one.shape[1] == channels


def test_training_reaches_all_parameters_of_the_levels_that_are_read():
    model = timm.create_model('rsir_nano', features_only=True, out_indices=(0, 1))
    sum(level.square().mean() for level in model(IMAGES)).backward()
    assert all(one.grad is not None for one in model.parameters())


def test_a_classifier_has_the_parts_that_timm_asks_for():
    model = timm.create_model('rsir_nano', num_classes=7, drop_path_rate=0.0).eval()
    features = model.forward_features(IMAGES)
    assert features.shape == (2, model.num_features, 2, 3)
    assert torch.equal(model(IMAGES), model.forward_head(features))
    pooled = model.forward_head(features, pre_logits=True)
    torch.testing.assert_close(pooled, features.mean(dim=(2, 3)))
    model.reset_classifier(3)
    assert model(IMAGES).shape == (2, 3)
    model.set_grad_checkpointing()
    assert all(block.with_cp for stage in model.backbone.stages for block in stage.blocks)


@pytest.mark.parametrize('coarse', [False, True])
def test_layers_are_grouped_from_the_image_to_the_head(coarse):
    model = timm.create_model('rsir_nano')
    groups = group_parameters(model, model.group_matcher(coarse=coarse))
    assert len(groups) == (1 + 4 + 1 if coarse else 1 + sum(ARCHS['nano']['depths']) + 1)
    assert all(name.startswith('backbone.patch_embed') for name in groups[0])
    assert 'head.fc.weight' in groups[max(groups)]
    assert sum(map(len, groups.values())) == len(list(model_parameters(model)))


@pytest.mark.parametrize('channels', [1, 4])
def test_images_may_have_other_channels(channels):
    model = timm.create_model('rsir_nano', features_only=True, in_chans=channels)
    assert len(model(torch.rand(1, channels, 32, 32))) == 4


@pytest.mark.parametrize(
    ('settings', 'message'),
    [
        (dict(features_only=True, out_indices=(0, 4)), 'there is no stage 4, but 0 to 3'),
        (dict(features_only=True, output_stride=16), 'output_stride=16 is not allowed'),
        (dict(pretrained=True), 'No pretrained weights exist for rsir_tiny'),
    ],
)
def test_what_is_not_there_is_named(settings, message):
    with pytest.raises((RuntimeError, TypeError, ValueError), match=message):
        timm.create_model('rsir_tiny', **settings)


def test_a_stage_that_is_not_built_is_named():
    with pytest.raises(ValueError, match=r'gives stages \(3,\), not \[0\]'):
        timm.create_model('rsir_nano').forward_intermediates(IMAGES, indices=[0])


@pytest.fixture
def published(tmp_path, monkeypatch):
    """Weights of a classifier in the folder for downloads, as timm finds them."""
    (tmp_path / 'weights').mkdir()
    monkeypatch.setenv('MMRSIR_CACHE', str(tmp_path))
    source = timm.create_model('rsir_tiny', num_classes=100)
    half = {key: value.half() for key, value in source.state_dict().items()}
    path = str(tmp_path / 'weights/rsir_t_miniin-01234567.safetensors')
    save_file(half, path, metadata=dict(format='pt', meta='{}'))
    cfg = mmrsir.timm_models._default_cfgs()['rsir_tiny.miniin']
    assert (cfg['file'], cfg['input_size']) == (path, (3, 224, 224))
    return dict(pretrained=True, pretrained_cfg=cfg), {
        key: one.float() for key, one in half.items()
    }


def test_weights_that_are_here_load_by_their_tag(published):
    settings, weights = published
    model = timm.create_model('rsir_tiny', **settings)
    assert model.num_classes == 100
    assert all(torch.equal(one, weights[key]) for key, one in model.state_dict().items())
    other = timm.create_model('rsir_tiny', num_classes=5, in_chans=1, **settings)
    assert other.backbone.patch_embed.projection.weight.shape[1] == 1
    levels = timm.create_model('rsir_tiny', features_only=True, **settings)
    for key, value in levels.model.state_dict().items():
        assert 'backbone.norm' in key or torch.equal(value, weights[key]), key


@pytest.mark.parametrize('features_only', [False, True])
def test_mmpretrains_wrapper_takes_it(features_only):
    settings = dict(type='mmpretrain.TIMMBackbone', model_name='rsir_nano')
    backbone = MODELS.build(dict(settings, features_only=features_only))
    assert isinstance(backbone, TIMMBackbone)
    channels = (32, 64, 128, 256) if features_only else (256,)
    assert tuple(level.shape[1] for level in backbone(IMAGES)) == channels


@pytest.mark.parametrize('name', ['Unet', 'FPN', 'UPerNet', 'Segformer'])
def test_segmentation_models_pytorch_takes_it(name):
    smp = pytest.importorskip('segmentation_models_pytorch')
    network = getattr(smp, name)('tu-rsir_nano', encoder_weights=None, in_channels=4, classes=5)
    logits = network(torch.rand(2, 4, 64, 96))
    assert logits.shape == (2, 5, 64, 96)
    logits.mean().backward()
    assert all(one.grad is not None for one in network.encoder.parameters() if one.requires_grad)


def test_importing_mmrsir_leaves_timm_alone():
    code = "import sys, mmrsir; sys.exit('timm' in sys.modules)"
    assert subprocess.run([sys.executable, '-c', code]).returncode == 0
