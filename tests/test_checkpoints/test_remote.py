"""Checkpoints at an address are fetched, compared with the hash in their name, and not run."""

import hashlib
from contextlib import contextmanager
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from threading import Thread

import pytest
import torch
from mmengine.logging import MMLogger
from mmengine.runner import CheckpointLoader
from safetensors.torch import save

import mmrsir.replacements  # noqa: F401  # as the configs and tools do
from mmrsir.checkpoints import remote as remote_checkpoint
from mmrsir.checkpoints.reading import read_checkpoint
from mmrsir.checkpoints.safe_loading import UnsafeCheckpointError
from mmrsir.checkpoints.seal import CorruptCheckpointError
from mmrsir.utils.errors import UserError

from ..helpers.strangers import Call, writing

WEIGHTS = {'backbone.weight': torch.ones(2), 'head.weight': torch.zeros(1)}
load = CheckpointLoader.load_checkpoint


@pytest.fixture
def folder(tmp_path):
    """What the server has."""
    (tmp_path / 'server').mkdir()
    return tmp_path / 'server'


@pytest.fixture
def server(folder, tmp_path, monkeypatch):
    """Address of a server of a folder; downloads are kept apart."""
    monkeypatch.setenv('TORCH_HOME', str(tmp_path / 'cache'))
    monkeypatch.setenv('MMENGINE_HOME', str(tmp_path / 'mmengine'))
    monkeypatch.setenv('no_proxy', '127.0.0.1')
    handler = partial(SimpleHTTPRequestHandler, directory=str(folder))
    with ThreadingHTTPServer(('127.0.0.1', 0), handler) as running:
        Thread(target=running.serve_forever, daemon=True).start()
        yield f'http://127.0.0.1:{running.server_port}'
        running.shutdown()


def test_every_loader_is_ours():
    loaders = CheckpointLoader._schemes.values()
    assert {loader.__module__.partition('.')[0] for loader in loaders} == {'mmrsir'}


def test_mmengines_log_names_the_kind_of_address(tmp_path, caplog):
    path = tmp_path / 'model.pth'
    torch.save(WEIGHTS, path)
    MMLogger.get_instance(str(tmp_path)).addHandler(caplog.handler)
    CheckpointLoader.load_checkpoint(str(path))
    assert f'Loads checkpoint by local backend from path: {path}' in caplog.text


@pytest.mark.parametrize('suffix', ['pth', 'safetensors'])
def test_a_file_is_fetched_once(suffix, server, folder):
    path = folder / f'model-20230101.{suffix}'  # a date is no hash
    if suffix == 'pth':
        torch.save(WEIGHTS, path)
    else:
        path.write_bytes(save(WEIGHTS))
    for _ in range(2):
        found = read_checkpoint(f'{server}/{path.name}')['state_dict']
        assert torch.equal(found['backbone.weight'], torch.ones(2))
        path.unlink(missing_ok=True)


def test_a_file_has_the_hash_in_its_name(server, folder):
    torch.save(WEIGHTS, folder / 'model.pth')
    digest = hashlib.sha256((folder / 'model.pth').read_bytes()).hexdigest()
    wrong = 'abcdef01'
    for name in (f'model-{digest[:8]}.pth', f'model-{wrong}.pth'):
        (folder / name).write_bytes((folder / 'model.pth').read_bytes())
    load(f'{server}/model-{digest[:8]}.pth')
    with pytest.raises(CorruptCheckpointError, match=rf'model-{wrong}\.pth is damaged.*{wrong}'):
        load(f'{server}/model-{wrong}.pth')


def test_an_address_without_a_file_is_named_with_what_to_do(server):
    with pytest.raises(
        UserError, match=r'/absent\.pth could not be downloaded: .*404.*put the file'
    ):
        load(f'{server}/absent.pth')


@contextmanager
def fetched(path, backend_args):
    """What petrel's client does with an address."""
    yield path.removeprefix('s3://')


@pytest.fixture
def lists(server, folder, monkeypatch):
    """Lists of models that name a stranger's file, and one that is whole."""
    known = {name: f'{server}/{name}.pth' for name in ('whole', 'stranger')}
    for function in ('get_torchvision_models', 'get_external_models', 'get_mmcls_models'):
        monkeypatch.setattr(remote_checkpoint, function, lambda: known)
    monkeypatch.setattr(remote_checkpoint, 'get_local_path', fetched)
    torch.save(WEIGHTS, folder / 'whole.pth')


@pytest.mark.parametrize(
    'prefix',
    ['torchvision://', 'modelzoo://', 'open-mmlab://', 'openmmlab://', 'mmcls://', 's3://'],
)
def test_no_address_runs_a_file(prefix, lists, folder, tmp_path):
    canary = tmp_path / 'canary'
    torch.save(Call(exec, writing(canary)), folder / 'stranger.pth')
    whole, stranger = (
        f'{prefix}{folder / name}.pth' if prefix == 's3://' else prefix + name
        for name in ('whole', 'stranger')
    )
    with pytest.raises(UnsafeCheckpointError):
        load(stranger)
    assert not canary.exists()
    content = load(whole)
    if prefix == 'mmcls://':
        assert list(content['state_dict']) == ['weight']
    else:
        assert list(content) == list(WEIGHTS)


def test_openmmlabs_old_names_are_known(lists, monkeypatch):
    monkeypatch.setattr(remote_checkpoint, 'get_deprecated_model_names', lambda: {'old': 'whole'})
    assert list(load('open-mmlab://old')) == list(WEIGHTS)


def test_a_file_of_openmmlabs_list_may_lie_here(lists, folder, tmp_path, monkeypatch):
    (tmp_path / 'mmengine').mkdir()
    torch.save(WEIGHTS, tmp_path / 'mmengine/local.pth')
    monkeypatch.setattr(remote_checkpoint, 'get_external_models', lambda: {'a': 'local.pth'})
    assert list(load('open-mmlab://a')) == list(WEIGHTS)


def test_an_unknown_name_gives_the_nearest(lists):
    with pytest.raises(
        ValueError, match=r'mmcls://hole is unknown; .* 2 models; did you mean .whole'
    ):
        load('mmcls://hole')


def test_pavi_is_refused():
    with pytest.raises(ValueError, match=r'pavi:// is not supported; download the file'):
        load('pavi://model.pth')
