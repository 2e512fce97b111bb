"""A script that uses the backbone without a run prints nothing that it did not ask for."""

from collections import OrderedDict

import pytest
import torch
from mmengine.logging import MMLogger

from mmrsir.models import RSIRTransformer

ARCH = dict(embed_dims=8, depths=(1, 2), num_heads=(1, 1))


@pytest.fixture
def plain(monkeypatch, capfd):
    """A process in which nobody has made a logger."""
    monkeypatch.setattr(MMLogger, '_instance_dict', OrderedDict())
    return capfd


def build(**settings):
    model = RSIRTransformer(ARCH, out_indices=(0, 1), **settings)
    model.init_weights()
    return model


def test_new_weights_are_silent(plain):
    build()
    assert plain.readouterr() == ('', '')


def test_weights_of_a_classifier_are_silent(plain, tmp_path):
    path = str(tmp_path / 'classifier.pth')
    weights = {f'backbone.{key}': value for key, value in build().state_dict().items()}
    torch.save({key: value for key, value in weights.items() if 'norm0' not in key}, path)
    build(init_cfg=dict(type='Pretrained', checkpoint=path))
    build(init_cfg=dict(type='Pretrained', checkpoint=None))
    assert plain.readouterr() == ('', '')


def test_weights_that_do_not_fit_are_told(plain, tmp_path):
    weights = build().state_dict()
    del weights['patch_embed.norm.bias']
    torch.save(weights, tmp_path / 'damaged.pth')
    build(init_cfg=dict(type='Pretrained', checkpoint=str(tmp_path / 'damaged.pth')))
    assert '1 missing: patch_embed.norm.bias' in plain.readouterr().out


def test_a_log_of_a_run_has_how_weights_began(plain, tmp_path):
    MMLogger.get_instance('run', log_file=str(tmp_path / 'run.log'))
    build()
    assert 'patch_embed.norm.bias' in (tmp_path / 'run.log').read_text()
