"""Checkpoints are read, compared with a model, and refused when they hardly match."""

import logging

import pytest
import torch
from mmengine.logging import MMLogger
from mmengine.model import PretrainedInit
from mmengine.runner import load_checkpoint
from safetensors.torch import save_file
from torch import nn

from mmrsir.checkpoints.reading import (
    CheckpointMismatchError,
    check_match,
    load_pretrained,
    match_weights,
    read_checkpoint,
)
from mmrsir.models import PyramidTransformer, RSIRTransformer

ARCH = dict(embed_dims=8, depths=(1, 2), num_heads=(1, 1))


def backbone(**settings):
    torch.manual_seed(len(settings))
    model = RSIRTransformer(ARCH, out_indices=(0, 1), **settings)
    model.init_weights()
    return model


@pytest.fixture
def classifier_weights():
    """A whole model's weights, whose backbone has no norm at the output of stage 0."""
    weights = {f'backbone.{key}': value for key, value in backbone().state_dict().items()}
    weights['head.fc.weight'] = torch.ones(3, 16)
    return {key: value for key, value in weights.items() if 'norm0' not in key}


@pytest.fixture(params=['pth', 'safetensors', 'bare', 'wrapped'])
def classifier(request, classifier_weights, tmp_path):
    path = str(tmp_path / f'model.{"safetensors" if request.param == "safetensors" else "pth"}')
    if request.param == 'pth':
        torch.save(dict(state_dict=classifier_weights, meta=dict(epoch=3)), path)
    elif request.param == 'safetensors':
        save_file(classifier_weights, path, metadata=dict(format='pt', meta='{"epoch": 3}'))
    elif request.param == 'bare':
        torch.save(classifier_weights, path)
    else:
        wrapped = {f'module.{key}': value for key, value in classifier_weights.items()}
        torch.save(dict(state_dict=wrapped), path)
    return path


def test_every_kind_of_file_gives_the_backbone(classifier, classifier_weights):
    model = backbone(init_cfg=dict(type='Pretrained', checkpoint=classifier))
    for key, value in model.state_dict().items():
        if 'norm0' not in key:
            assert torch.equal(value, classifier_weights[f'backbone.{key}']), key


def test_report_names_what_matches_and_what_does_not(classifier_weights):
    part = {key.removeprefix('backbone.'): value for key, value in classifier_weights.items()}
    part['norm1.weight'] = torch.ones(3)
    model = backbone()
    match = match_weights(model, part)
    assert match.missing == ['norm0.weight', 'norm0.bias']
    assert match.mismatched == ['norm1.weight']
    assert match.unexpected == ['head.fc.weight']
    total = sum(value.numel() for value in model.state_dict().values())
    assert match.share == pytest.approx(1 - (8 + 8 + 16) / total)
    assert len(match.matched) == len(model.state_dict()) - 3
    for part_of_report in ('2 missing: norm0.weight', '1 mismatched', '1 unexpected: head.fc'):
        assert part_of_report in match.describe()


def test_counters_of_batch_norm_are_left_out():
    norm = nn.BatchNorm1d(2)
    weights = {key: value for key, value in norm.state_dict().items() if 'num' not in key}
    match = match_weights(norm, weights)
    assert match.share == 1 and not match.missing
    weights['num_batches_tracked'] = torch.zeros(1)
    assert not match_weights(norm, weights).unexpected


def test_share_below_the_setting_is_refused_and_nothing_is_loaded(tmp_path, classifier_weights):
    path = str(tmp_path / 'model.pth')
    weights = {key: value for key, value in classifier_weights.items() if 'stages.1' not in key}
    torch.save(weights, path)
    model = backbone()
    before = {key: value.clone() for key, value in model.state_dict().items()}
    with pytest.raises(CheckpointMismatchError, match=r'at least min_matched=90\.0% is required'):
        load_pretrained(model, path)
    assert all(torch.equal(before[key], value) for key, value in model.state_dict().items())
    share = load_pretrained(model, path, min_matched=0.1).share
    assert 0.1 < share < 0.9


def test_settings_of_mmengine_work(tmp_path, classifier_weights):
    path = str(tmp_path / 'model.pth')
    torch.save(classifier_weights, path)
    settings = dict(checkpoint=path, prefix='backbone', map_location='cpu')
    for kind in ('Pretrained', PretrainedInit):
        model = backbone(init_cfg=dict(type=kind, **settings))
        assert torch.equal(model.norm1.weight, classifier_weights['backbone.norm1.weight'])


def test_trained_weights_are_not_initialized_again(tmp_path, classifier_weights):
    path = str(tmp_path / 'model.pth')
    torch.save(classifier_weights, path)
    model = backbone(init_cfg=dict(type='Pretrained', checkpoint=path))
    model.norm1.weight.data.fill_(5)
    model.init_weights()
    assert (model.norm1.weight == 5).all()


def test_wrong_prefix_names_the_nearest(tmp_path, classifier_weights):
    path = str(tmp_path / 'model.pth')
    torch.save(classifier_weights, path)
    with pytest.raises(CheckpointMismatchError, match=r"has backbone\., head\..*mean 'backbone\.'"):
        backbone(init_cfg=dict(type='Pretrained', checkpoint=path, prefix='bakbone.'))


def test_backbone_alone_needs_no_prefix(tmp_path):
    path = str(tmp_path / 'model.pth')
    source = backbone()
    torch.save(source.state_dict(), path)
    assert load_pretrained(backbone(seed=1), path).share == 1


def test_training_from_scratch_is_said(caplog):
    logger = MMLogger.get_instance('scratch')
    logger.addHandler(caplog.handler)
    backbone(init_cfg=dict(type='Pretrained', checkpoint=None))
    assert 'starts from scratch' in caplog.text


def test_full_match_is_information_and_a_partial_one_a_warning(caplog):
    logger = MMLogger.get_instance('match')
    logger.addHandler(caplog.handler)
    weights = backbone().state_dict()
    check_match(match_weights(backbone(), weights), 'file', 1.0)
    del weights['patch_embed.norm.bias']
    check_match(match_weights(backbone(), weights), 'file', 0.9)
    reports = [one for one in caplog.records if 'weights matched' in one.getMessage()]
    assert [report.levelno for report in reports] == [logging.INFO, logging.WARNING]


def test_norms_that_a_classifier_has_not_are_no_warning(caplog, tmp_path, classifier_weights):
    logger = MMLogger.get_instance('norms')
    logger.addHandler(caplog.handler)
    torch.save(classifier_weights, tmp_path / 'model.pth')
    load_pretrained(backbone(), str(tmp_path / 'model.pth'))
    (report,) = [one for one in caplog.records if 'weights matched' in one.getMessage()]
    assert report.levelno == logging.INFO
    assert '2 missing: norm0.weight, norm0.bias' in report.getMessage()


def test_a_share_is_never_all_where_something_is_missing():
    large = nn.Linear(10000, 1)
    report = match_weights(large, dict(weight=large.weight.data)).describe()
    assert report == 'nearly all of the weights matched (1 keys); 1 missing: bias'


@pytest.fixture
def configured(tmp_path, classifier_weights):
    """A classifier's checkpoint with its config, as a training writes it."""
    settings = dict(type='mmrsir.RSIRTransformer', arch=ARCH, out_indices=(1,), importance='cbam')
    source = RSIRTransformer(ARCH, out_indices=(1,), importance='cbam')
    weights = {f'backbone.{key}': value for key, value in source.state_dict().items()}
    text = f'model = dict(backbone={settings}, type="ImageClassifier")'
    path = str(tmp_path / 'configured.pth')
    torch.save(dict(state_dict=weights, meta=dict(cfg=text)), path)
    return path, source


def test_from_pretrained_builds_what_the_checkpoint_holds(configured):
    path, source = configured
    model = RSIRTransformer.from_pretrained(path)
    x = torch.rand(1, 3, 40, 50)
    assert not model.training
    for found, expected in zip(model(x), source.eval()(x), strict=True):
        assert torch.equal(found, expected)


def test_from_pretrained_takes_other_settings(configured):
    model = RSIRTransformer.from_pretrained(configured[0], out_indices=(0, 1))
    assert model.out_channels == (8, 16)


def test_from_pretrained_says_what_is_wrong(configured, tmp_path):
    with pytest.raises(ValueError, match='holds a RSIRTransformer, not a PyramidTransformer'):
        PyramidTransformer.from_pretrained(configured[0])
    torch.save(backbone().state_dict(), tmp_path / 'bare.pth')
    with pytest.raises(ValueError, match='no config of a model. Build it yourself'):
        RSIRTransformer.from_pretrained(str(tmp_path / 'bare.pth'))
    settings = dict(cfg='model = dict(backbone=dict(arch="nano"))')
    untyped = dict(state_dict=backbone().state_dict(), meta=settings)
    torch.save(untyped, tmp_path / 'untyped.pth')
    with pytest.raises(ValueError, match='no config of a model. Build it yourself'):
        RSIRTransformer.from_pretrained(str(tmp_path / 'untyped.pth'))


def test_mmengine_loads_safetensors(tmp_path):
    path = str(tmp_path / 'model.safetensors')
    source, target = backbone(), backbone(seed=1)
    save_file(source.state_dict(), path)
    load_checkpoint(target, path)
    for key, value in source.state_dict().items():
        assert torch.equal(target.state_dict()[key], value)


def test_meta_of_safetensors_is_read(tmp_path):
    path = str(tmp_path / 'model.safetensors')
    meta = '{"epoch": 3, "dataset_meta": {"classes": ["a"], "palette": [[1, 2, 3]]}}'
    save_file(dict(weight=torch.ones(1)), path, metadata=dict(meta=meta))
    expected = dict(epoch=3, dataset_meta=dict(classes=['a'], palette=[(1, 2, 3)]))
    assert read_checkpoint(path)['meta'] == expected


@pytest.mark.parametrize('content', [[1, 2], dict(epoch=3), dict(state_dict={})])
def test_a_file_without_weights_is_refused(tmp_path, content):
    path = str(tmp_path / 'model.pth')
    torch.save(content, path)
    with pytest.raises(ValueError, match='holds no dict of weights'):
        read_checkpoint(path)


def test_damaged_and_missing_files_are_named(tmp_path):
    path = tmp_path / 'model.safetensors'
    path.write_bytes(b'damaged')
    with pytest.raises(ValueError, match='damaged, or not a safetensors file'):
        read_checkpoint(str(path))
    with pytest.raises(FileNotFoundError, match='absent'):
        read_checkpoint(str(tmp_path / 'absent.safetensors'))
