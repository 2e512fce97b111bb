"""Checkpoint files from strangers run nothing, whoever loads them; damaged ones are named."""

import contextlib
import os
import pickle
import runpy
import sys
import tarfile
import zipfile

import numpy as np
import pytest
import torch
from mmdet.apis import DetInferencer, init_detector
from mmengine.config import ConfigDict
from mmengine.logging import HistoryBuffer
from mmengine.registry import MODELS
from mmengine.runner import CheckpointLoader, load_checkpoint
from mmengine.runner.checkpoint import get_torch_safe_globals
from mmpretrain import get_model
from mmseg.apis import init_model

from mmrsir import replacements  # importing it enables them, as the configs and tools do
from mmrsir.apis import Predictor
from mmrsir.checkpoints import safe_loading
from mmrsir.checkpoints.publishing import publish
from mmrsir.checkpoints.reading import load_pretrained
from mmrsir.checkpoints.safe_loading import UnsafeCheckpointError, load_file
from mmrsir.checkpoints.seal import CorruptCheckpointError, seal
from mmrsir.engine.loops import random_state

from ..helpers.commands import ROOT, on_data
from ..helpers.configs import SHAPES
from ..helpers.strangers import Call, Toy, toy_runner, writing

CONFIGS = {scope: ROOT / path for scope, path in SHAPES.items()}


def gadget(canary):
    """A chain that mmengine's allow list lets through: getattr gives exec, torch calls it."""
    builtins = Call(getattr, getattr, '__self__')
    found = Call(getattr, builtins, 'exec')
    return Call(torch._tensor._rebuild_from_type_v2, found, torch.Tensor, (writing(canary),), None)


ATTACKS = {
    'alone': lambda canary: Call(exec, writing(canary)),
    'weights': lambda canary: dict(state_dict={'weight': Call(exec, writing(canary))}),
    'meta': lambda canary: dict(state_dict={}, meta=dict(epoch=Call(exec, writing(canary)))),
    'optimizer': lambda canary: dict(state_dict={}, optimizer=Call(exec, writing(canary))),
    'key': lambda canary: {Call(exec, writing(canary)): 1},
    'blocked module': lambda canary: Call(os.mkdir, str(canary)),
    'gadget': lambda canary: dict(state_dict={}, message_hub=gadget(canary)),
    'buffer': lambda canary: Call(getattr, Call(exec, writing(canary)), 'mean'),
}


@pytest.fixture(autouse=True)
def refuse_unsafe(monkeypatch):
    monkeypatch.setattr(safe_loading, '_unsafe_allowed', False)


@pytest.fixture
def canary(tmp_path):
    return tmp_path / 'canary'


@pytest.fixture
def stranger(canary, tmp_path):
    """A file that writes the canary if it is run."""
    path = tmp_path / 'stranger.pth'
    torch.save(ATTACKS['meta'](canary), path)
    return str(path)


def write_tar(content, path):
    """Write a file as torch before 0.1.10 did."""
    part = path.with_suffix('.part')
    part.write_bytes(pickle.dumps(content, 2))
    with tarfile.open(path, 'w') as archive:
        for name in ('storages', 'tensors', 'pickle'):
            archive.add(part, name)


FORMS = {
    'zip': torch.save,
    'legacy': lambda content, path: torch.save(content, path, _use_new_zipfile_serialization=False),
    'tar': write_tar,
}


@pytest.mark.parametrize('form', FORMS)
@pytest.mark.parametrize('attack', ATTACKS)
def test_nothing_runs(attack, form, canary, tmp_path):
    path = tmp_path / 'stranger.pth'
    FORMS[form](ATTACKS[attack](canary), path)
    with pytest.raises(UnsafeCheckpointError, match=r'stranger\.pth was not .*--unsafe-load'):
        load_file(str(path))
    assert not canary.exists()
    safe_loading.allow_unsafe()
    with contextlib.suppress(Exception):
        load_file(str(path))
    assert canary.exists()


def test_allow_list_of_mmengine_lets_the_gadget_run(canary, tmp_path):
    torch.save(gadget(canary), tmp_path / 'stranger.pth')
    with (
        torch.serialization.safe_globals(get_torch_safe_globals()),
        contextlib.suppress(AttributeError),
    ):
        torch.load(tmp_path / 'stranger.pth', weights_only=True)
    assert canary.exists()


@pytest.mark.parametrize(
    ('attack', 'name'),
    [('meta', 'exec'), ('blocked module', r'posix\.mkdir'), ('gadget', 'getattr')],
)
def test_what_was_refused_is_named(attack, name, canary, tmp_path):
    torch.save(ATTACKS[attack](canary), tmp_path / 'stranger.pth')
    with pytest.raises(UnsafeCheckpointError, match=f'it asks for {name}, which is no data'):
        load_file(str(tmp_path / 'stranger.pth'))


def initialize(**settings):
    """A way in through the init_cfg of a library's backbone."""

    def load(path, folder):
        init_cfg = ConfigDict(type='Pretrained', checkpoint=path)
        MODELS.build(dict(settings, init_cfg=init_cfg)).init_weights()

    return load


WAYS = {
    'Runner.load_checkpoint': lambda path, folder: toy_runner(folder).load_checkpoint(path),
    'Runner.resume': lambda path, folder: toy_runner(folder).resume(path),
    'load_checkpoint': lambda path, folder: load_checkpoint(Toy(), path),
    'load_pretrained': lambda path, folder: load_pretrained(Toy(), path),
    'RSIRTransformer': initialize(type='RSIRTransformer', arch='nano'),
    'mmdet ResNet': initialize(type='mmdet.ResNet', depth=18),
    'mmdet Swin': initialize(type='mmdet.SwinTransformer', depths=(1, 1, 1, 1)),
    'mmseg ResNet': initialize(type='mmseg.ResNet', depth=18),
    'mmpretrain ResNet': initialize(type='mmpretrain.ResNet', depth=18),
    'publish': lambda path, folder: publish(path, str(folder / 'out')),
    'init_detector': lambda path, folder: init_detector(CONFIGS['mmdet'], path, device='cpu'),
    'init_model': lambda path, folder: init_model(CONFIGS['mmseg'], path, device='cpu'),
    'get_model': lambda path, folder: get_model(CONFIGS['mmpretrain'], path),
    'DetInferencer': lambda path, folder: DetInferencer(weights=path, device='cpu'),
}


@pytest.mark.parametrize('way', WAYS)
def test_no_way_in_runs_it(way, stranger, canary, tmp_path):
    with pytest.raises(UnsafeCheckpointError):
        WAYS[way](stranger, tmp_path)
    assert not canary.exists()
    safe_loading.allow_unsafe()
    with contextlib.suppress(Exception):  # it holds no weights
        WAYS[way](stranger, tmp_path)
    assert canary.exists()


OUR_WAYS = {
    'Predictor': lambda path, folder: Predictor(str(CONFIGS['mmdet']), path, device='cpu'),
    **{name: WAYS[name] for name in ('load_pretrained', 'RSIRTransformer', 'publish')},
}


@pytest.mark.parametrize('way', OUR_WAYS)
def test_our_own_ways_in_need_no_replacements(way, stranger, canary, tmp_path):
    replacements.disable()
    try:
        with pytest.raises(UnsafeCheckpointError):
            OUR_WAYS[way](stranger, tmp_path)
    finally:
        replacements.enable()
    assert not canary.exists()


@pytest.mark.parametrize('tool', ['train.py', 'test.py', 'model_converters/publish_model.py'])
def test_tools_need_the_flag(tool, stranger, canary, shapes, tmp_path, monkeypatch, capsys):
    if 'publish' in tool:
        arguments = [stranger, str(tmp_path / 'out')]
    else:
        resume = ['--resume'] if tool == 'train.py' else []
        arguments = [str(CONFIGS['mmpretrain']), *resume, stranger, '--work-dir', str(tmp_path)]
        arguments += ['--cfg-options', *on_data('mmpretrain', shapes)]
    for flags in ([], ['--unsafe-load']):
        assert not canary.exists()
        monkeypatch.setattr(sys, 'argv', [tool, *flags, *arguments])
        monkeypatch.syspath_prepend(ROOT / 'tools')  # as if run as a command
        with pytest.raises((Exception, SystemExit)) as caught:
            runpy.run_path(str(ROOT / 'tools' / tool), run_name='__main__')
        said = f'{caught.value}{capsys.readouterr().err.partition("error: ")[2]}'
        assert ('--unsafe-load' in said) == (not flags)
    assert canary.exists()


def test_what_runs_save_is_loaded(tmp_path):
    numbers = [np.arange(3), np.ones((2, 2), np.float16), np.array([True]), np.array(1j)]
    content = dict(
        buffer=HistoryBuffer([1.0, 2.0], [1, 1]),
        numbers=numbers,
        scalars=[np.float64(0.5), np.int32(3), np.bool_(True)],
        meta=dict(dataset_meta=ConfigDict(names=dict(a=1))),
        resumption=random_state.capture(),
        state=np.random.get_state(),
    )
    torch.save(content, tmp_path / 'run.pth')
    loaded = load_file(str(tmp_path / 'run.pth'))
    assert loaded['buffer'].mean() == 1.5
    assert loaded['buffer'].statistics('max') == 2
    for found, saved in zip(loaded['numbers'], numbers, strict=True):
        assert found.dtype == saved.dtype and np.array_equal(found, saved)
    assert loaded['scalars'] == content['scalars']
    assert loaded['meta'] == content['meta']
    assert loaded['resumption']['python'] == content['resumption']['python']
    assert np.array_equal(loaded['state'][1], content['state'][1])


@pytest.mark.parametrize(('core', 'other'), [('_core', 'core'), ('core', '_core')])
def test_arrays_of_both_numpys_are_loaded(core, other, tmp_path):
    path = tmp_path / 'run.pth'
    torch.save(np.arange(3), path, _use_new_zipfile_serialization=False)
    content = path.read_bytes()
    path.write_bytes(content.replace(f'numpy.{core}.'.encode(), f'numpy.{other}.'.encode()))
    assert np.array_equal(load_file(str(path)), np.arange(3))


def test_arrays_without_elements_are_loaded(tmp_path):
    # As NumPy 1 pickles them: their content is a call of bytes().
    class Empty:
        def __reduce__(self):
            return bytes, ()

    torch.save(Empty(), tmp_path / 'run.pth')
    assert load_file(str(tmp_path / 'run.pth')) == b''


@pytest.mark.parametrize('array', [np.array([None]), np.zeros(1, [('a', 'O')]), np.array(['a'])])
def test_arrays_of_other_than_numbers_are_refused(array, tmp_path):
    torch.save(array, tmp_path / 'run.pth')
    with pytest.raises(UnsafeCheckpointError, match=r'asks for numpy\.dtype'):
        load_file(str(tmp_path / 'run.pth'))


def test_a_pickle_cannot_change_a_type_of_numbers(tmp_path):
    dtype = safe_loading._number_type('f8')
    dtype.__setstate__((3, '>', None, None, None, -1, -1, 63))
    assert (dtype.flags, dtype.byteorder) == (0, '=')


@pytest.fixture
def whole(tmp_path):
    """An intact file."""
    path = tmp_path / 'whole.pth'
    torch.save(dict(state_dict={'weight': torch.rand(64, 64)}), path)
    return path


@pytest.mark.parametrize('length', [0, 1, 100, 9000, -1])
def test_a_file_that_is_cut_off_is_named(length, whole):
    whole.write_bytes(whole.read_bytes()[:length])
    with pytest.raises(CorruptCheckpointError, match=r'whole\.pth is damaged, or not a checkpoint'):
        load_file(str(whole))


@pytest.mark.parametrize('sealed', [False, True])
def test_a_changed_bit_is_found(sealed, whole):
    if sealed:
        with open(whole, 'r+b') as file:
            seal(file)
    content = bytearray(whole.read_bytes())
    content[len(content) // 2] ^= 1
    whole.write_bytes(content)
    with pytest.raises(CorruptCheckpointError, match=r'whole\.pth is damaged: .*(check|SHA)'):
        load_file(str(whole))


def test_other_files_are_named(whole):
    with zipfile.ZipFile(whole, 'w') as archive:
        archive.writestr('text', 'text')
    with pytest.raises(CorruptCheckpointError, match=r'whole\.pth is damaged, or not a checkpoint'):
        load_file(str(whole))
    whole.write_text('text')
    with pytest.raises(CorruptCheckpointError, match=r'whole\.pth is damaged, or not a checkpoint'):
        load_file(str(whole))
    with pytest.raises(FileNotFoundError, match=r'absent\.pth does not exist'):
        load_file(str(whole.with_name('absent.pth')))


def test_weights_of_a_gpu_come_to_the_cpu_by_default(tmp_path, monkeypatch):
    monkeypatch.setattr(torch.serialization, 'location_tag', lambda storage: 'cuda:0')
    torch.save({'weight': torch.ones(1)}, tmp_path / 'gpu.pth')
    assert CheckpointLoader.load_checkpoint(str(tmp_path / 'gpu.pth'))['weight'].is_cpu


def test_a_damaged_file_is_named_with_the_flag_too(whole):
    safe_loading.allow_unsafe()
    whole.write_text('text')
    with pytest.raises(CorruptCheckpointError, match=r'whole\.pth is damaged, or not a checkpoint'):
        load_file(str(whole))
