"""Config texts inside checkpoints are left out unless they are plain data."""

import contextlib
import json
from collections import Counter, OrderedDict

import pytest
import torch
from mmdet.apis import DetInferencer
from mmengine.config import Config
from mmengine.logging import MMLogger
from safetensors.torch import save_file

import mmrsir.replacements  # noqa: F401  # as the configs and tools do
from mmrsir.checkpoints import safe_loading
from mmrsir.checkpoints.config_text import find_code
from mmrsir.checkpoints.safe_loading import load_file
from mmrsir.engine.config_files import read_file

from ..helpers.commands import ROOT
from ..helpers.configs import SHAPES
from ..helpers.strangers import toy_runner, writing

# CODE is code that writes the canary, FOLDER the canary's path.
RUN_WHEN_READ = {
    'code': 'CODE',
    'call': 'model = dict(type=CODE)',
    'f-string': "model = f'{CODE}'",
    # What stands behind the colon is a pattern to be replaced and the text that replaces it.
    'substitution': r"model = '{{$ABSENT:|\047+str(CODE)+\047}}'",
}
RUN_WHEN_BUILT = {'function': "model = dict(type='os.mkdir', path='FOLDER')"}
OTHERS = {
    'import': 'import os',
    'attribute': 'model = dict.__class__',
    'two names': 'model, other = 1, 2',
    'unpacked': "custom_imports = dict(**{'imports': ['antigravity']})",
    'name': 'model = dict(type=exec)',
    'inside of a dict': "model = dict({'.a': dict(type='mmengine.load')})",
    'base': "_base_ = ['other']",
    'custom_imports': "custom_imports = dict(imports=['antigravity'])",
    'custom_imports as text': "custom_imports = dict(imports='antigravity')",
    'custom_imports of numbers': 'custom_imports = [1]',
    'function of the family': "model = [dict(type='mmengine.load')]",
    'module of a module': "model = dict(a=({'type': 'mmengine.runner.runner.os.Popen'},))",
    'pickle': "model = dict(type='OFA', ans2label='https://example.com/a.pkl')",
    'remote code': "model = dict(type='AutoModelForCausalLM', trust_remote_code=True)",
    'damaged': 'model = dict(',
    'deep': 'model = 1' + '+1' * 5000,
    'deeper': 'model = ' + '-' * 100000 + '1',
}
CODE = RUN_WHEN_READ | RUN_WHEN_BUILT | OTHERS


@pytest.fixture
def canary(tmp_path):
    return tmp_path / 'canary'


def fill_in(text, canary):
    return text.replace('CODE', writing(canary)).replace('FOLDER', str(canary))


@pytest.mark.parametrize('kind', CODE)
def test_code_is_found(kind, canary):
    assert find_code(fill_in(CODE[kind], canary))
    assert not canary.exists()


@pytest.mark.parametrize('kind', RUN_WHEN_READ)
def test_mmengine_runs_it(kind, canary):
    with contextlib.suppress(Exception):
        Config.fromstring(fill_in(RUN_WHEN_READ[kind], canary), '.py')
    assert canary.exists()


@pytest.mark.parametrize(
    'text',
    [
        *(read_file(ROOT / path).pretty_text for path in SHAPES.values()),
        "custom_imports = dict(imports=['mmrsir', 'mmpretrain.models'])",
        "paramwise_cfg = dict(custom_keys=dict({'.bias': dict(decay_mult=0.0)}))",
        "strategy = dict(type='mmrsir.engine.strategies.fsdp.FSDP2Strategy')",
        "model = dict(type='mmdet.ResNet', mean=[-1.5, None, True], type_of=('a.b', {'c': {1}}))",
    ],
)
def test_plain_data_is_kept(text):
    assert find_code(text) is None


@pytest.mark.parametrize('kind', ['pth', 'safetensors'])
@pytest.mark.parametrize('text', [OTHERS['import'], 'model = dict()'])
def test_texts_with_code_are_left_out_and_named(text, kind, tmp_path, caplog):
    MMLogger.get_instance('config_text').addHandler(caplog.handler)
    path = str(tmp_path / f'stranger.{kind}')
    meta = dict(cfg=text, config='model = dict()', epoch=1)
    weights = {'weight': torch.ones(1)}
    if kind == 'pth':
        hub = dict(runtime_info=dict(cfg=text, iter=1))
        torch.save(dict(state_dict=weights, meta=meta, message_hub=hub), path)
    else:
        save_file(weights, path, metadata=dict(meta=json.dumps(meta)))
    loaded = load_file(path)
    kept = dict(cfg=text) if text == 'model = dict()' else {}
    assert loaded['meta'] == dict(epoch=1, **kept)
    assert ('meta.cfg is left out' in caplog.text) == (not kept)
    if kind == 'pth':
        assert loaded['message_hub']['runtime_info'] == dict(iter=1, **kept)


def test_a_dict_with_methods_of_its_own_hides_no_text(tmp_path):
    """An OrderedDict takes attributes from a pickle, which may stand in for its methods."""
    meta = OrderedDict(config='import os', cfg='import os')
    vars(meta).update(get=Counter, pop=Counter)
    torch.save(dict(meta=meta), tmp_path / 'stranger.pth')
    assert not len(load_file(str(tmp_path / 'stranger.pth'))['meta'])


def keep_code(monkeypatch):
    monkeypatch.setattr(safe_loading, '_drop_code', lambda *_: None)


def test_resuming_does_not_run_meta(canary, tmp_path, monkeypatch):
    toy_runner(tmp_path).train()
    path = str(tmp_path / 'epoch_1.pth')
    content = load_file(path)
    content['meta']['config'] = fill_in('CODE', canary)
    torch.save(content, path)
    toy_runner(tmp_path).resume(path)
    assert not canary.exists()
    keep_code(monkeypatch)
    toy_runner(tmp_path).resume(path)
    assert canary.exists()


@pytest.mark.parametrize('place', ['meta', 'message_hub'])
@pytest.mark.parametrize('kind', ['call', 'substitution', 'function'])
def test_an_inferencer_does_not_run_a_text(kind, place, canary, tmp_path, monkeypatch):
    part = dict(cfg=fill_in(CODE[kind], canary))
    content = dict(meta=part) if place == 'meta' else dict(message_hub=dict(runtime_info=part))
    path = str(tmp_path / 'stranger.pth')
    torch.save(dict(state_dict={}, **{'meta': {}, **content}), path)
    with pytest.raises(ValueError, match='Cannot find the config in the checkpoint'):
        DetInferencer(weights=path, device='cpu')
    assert not canary.exists()
    keep_code(monkeypatch)
    with contextlib.suppress(Exception):
        DetInferencer(weights=path, device='cpu')
    assert canary.exists()
