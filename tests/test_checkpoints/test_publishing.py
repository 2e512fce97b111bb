"""Published files hold what testing needs, under the hash of their bytes, and nothing private."""

import hashlib
import os
import pickle
import re
import runpy
import sys
from pathlib import Path

import pytest
import torch
from mmengine.config import Config
from mmengine.hooks import EMAHook

from mmrsir import __version__
from mmrsir.checkpoints.publishing import publish, strip_checkpoint, strip_settings
from mmrsir.checkpoints.reading import read_checkpoint
from mmrsir.engine import launch

from ..helpers.commands import ROOT, on_data

CONFIG = ROOT / 'configs/cls/rsir_n_shapes.py'
TOOL = ROOT / 'tools/model_converters/publish_model.py'
SECRET = 'jane_doe'  # stands wherever a checkpoint says who trained where
each_file = pytest.mark.parametrize('file', [0, 1], ids=['pth', 'safetensors'])


def build_runner(shapes, work_dir, **settings):
    """A runner of a small classifier."""
    options = [
        *on_data('mmpretrain', shapes),
        'train_cfg.max_epochs=1',
        'train_dataloader.batch_size=8',
    ]
    arguments = [str(CONFIG), '--work-dir', str(work_dir), '--cfg-options', *options]
    cfg = launch.load_config(launch.argument_parser('').parse_args(arguments))
    cfg.vis_backends = [dict(type='WandbVisBackend', init_kwargs=dict(entity=SECRET))]
    cfg.notes = [rf'C:\users\{SECRET}\notes.txt', f'~{SECRET}/notes.txt']
    cfg.merge_from_dict(settings)
    return launch.build_runner(cfg)


@pytest.fixture(scope='module')
def trained(shapes, tmp_path_factory):
    """A runner after its training, and the checkpoint that it wrote."""
    hooks = [dict(type='EMAHook', momentum=0.5)]
    runner = build_runner(shapes, tmp_path_factory.mktemp(SECRET), custom_hooks=hooks)
    runner.train()
    return runner, Path(runner.work_dir, 'last_checkpoint').read_text()


@pytest.fixture(scope='module')
def published(trained, tmp_path_factory):
    """The files of the trained classifier, and what they lack."""
    folder = tmp_path_factory.mktemp('published')
    return publish(trained[1], str(folder / 'weights/rsir_n.pth'))


@pytest.fixture
def checkpoint(tmp_path):
    """A checkpoint of a few numbers."""
    weights = {'backbone.weight': torch.rand(3, 2), 'head.bias': torch.rand(3)}
    torch.save(dict(state_dict=weights, meta=dict(epoch=1)), tmp_path / 'epoch_1.pth')
    return str(tmp_path / 'epoch_1.pth')


def weights(path):
    return read_checkpoint(str(path))['state_dict']


def assert_equal(first, second):
    assert first.keys() == second.keys()
    for key, value in first.items():
        assert torch.equal(value, second[key]), key


def run_tool(monkeypatch, *arguments):
    monkeypatch.setattr(sys, 'argv', [str(TOOL), *map(str, arguments)])
    runpy.run_path(str(TOOL), run_name='__main__')


@each_file
def test_name_holds_the_hash_of_the_bytes(file, published):
    path = published.files[file]
    assert path.name.startswith(f'rsir_n-{hashlib.sha256(path.read_bytes()).hexdigest()[:8]}.')


@each_file
def test_weights_are_the_averaged_ones(file, trained, published):
    runner, _ = trained
    hook = next(hook for hook in runner.hooks if isinstance(hook, EMAHook))
    found = weights(published.files[file])
    assert_equal(found, hook.ema_model.module.state_dict())
    assert not torch.equal(found['head.fc.weight'], runner.model.head.fc.weight)


@each_file
def test_it_tests_like_the_checkpoint(file, trained, published, shapes, tmp_path):
    runners = [
        build_runner(shapes, tmp_path / name, load_from=str(path))
        for name, path in (('first', trained[1]), ('second', published.files[file]))
    ]
    assert runners[0].test() == runners[1].test()
    assert_equal(runners[0].model.state_dict(), runners[1].model.state_dict())


@each_file
def test_training_state_is_left_out(file, published):
    assert set(read_checkpoint(str(published.files[file]))) == {'state_dict', 'meta'}


@each_file
def test_nothing_private_is_left(file, trained, published):
    assert SECRET.encode() in Path(trained[1]).read_bytes()
    assert SECRET.encode() not in published.files[file].read_bytes()


@each_file
def test_meta_says_what_was_trained(file, published):
    meta = read_checkpoint(str(published.files[file]))['meta']
    assert list(meta['dataset_meta']['classes']) == ['cross', 'disc', 'ring', 'triangle']
    assert meta['mmrsir_version'] == __version__
    assert (meta['epoch'], meta['iter']) == (1, 2)


def test_config_keeps_all_else(trained, published):
    runner, _ = trained
    found = Config.fromstring(read_checkpoint(str(published.files[0]))['meta']['cfg'], '.py')
    assert found.model == runner.cfg.model
    assert found.optim_wrapper == runner.cfg.optim_wrapper
    assert runner.cfg.keys() - found.keys() == {'work_dir', 'load_from', 'vis_backends'}
    assert found.notes == ['notes.txt', 'notes.txt']


def test_what_is_left_out_is_listed(published):
    names = {line.partition(' (')[0] for line in published.removed}
    assert names >= {'optimizer', 'param_schedulers', 'message_hub', 'ema_state_dict'}
    assert names >= {'meta.seed', 'meta.cfg: work_dir', "meta.cfg: the folders above 'notes.txt'"}


def test_pth_is_read_without_running_code(published):
    torch.load(published.files[0], weights_only=True)


@pytest.mark.parametrize(
    ('path', 'kept'),
    [
        ('/home/jane_doe/coco/', 'coco'),
        ('~/coco', 'coco'),
        (r'C:\users\jane_doe\coco', 'coco'),
        ('file:///home/jane_doe/coco', 'coco'),
        ('data/coco/', 'data/coco/'),
        ('https://example.com/weights.pth', 'https://example.com/weights.pth'),
        ('mmdet.ResNet', 'mmdet.ResNet'),
    ],
)
def test_of_absolute_paths_only_the_last_part_stays(path, kept):
    text, removed = strip_settings(f'dataset = [dict(data_root={path!r})]')
    assert text == f"dataset = [{{'data_root': {kept!r}}}]"
    assert bool(removed) == (path != kept)


def test_private_settings_are_removed_at_any_depth():
    text, removed = strip_settings(
        "work_dir = 'runs'\nvisualizer = dict(name='v', vis_backends=[dict(entity='jane_doe')])"
    )
    assert text == "visualizer = {'name': 'v'}"
    assert removed == ['work_dir', 'vis_backends']


def test_a_config_that_is_no_python_is_left_out():
    meta = dict(cfg="model = dict(type=<class 'Model'>)", epoch=1)
    stripped, removed = strip_checkpoint(dict(state_dict={'a': torch.zeros(1)}, meta=meta))
    assert set(stripped['meta']) == {'epoch', 'mmrsir_version'}
    assert removed == ['meta.cfg, which cannot be read']


def test_the_version_of_a_published_file_stays():
    meta = dict(mmrsir_version='0.0.1')
    stripped, _ = strip_checkpoint(dict(state_dict={'a': torch.zeros(1)}, meta=meta))
    assert stripped['meta'] == meta


def test_bare_weights_are_published(tmp_path):
    torch.save({'a': torch.ones(2)}, tmp_path / 'bare.pth')
    for path in publish(str(tmp_path / 'bare.pth'), str(tmp_path / 'out')).files:
        assert_equal(weights(path), {'a': torch.ones(2)})


def test_views_and_shared_weights_come_apart(tmp_path):
    store = torch.rand(1000, 2)
    shared = dict(first=store[:3], second=store[:3], third=store[:3].T)
    torch.save(dict(state_dict=shared), tmp_path / 'shared.pth')
    for path in publish(str(tmp_path / 'shared.pth'), str(tmp_path / 'out')).files:
        assert_equal(weights(path), shared)
        assert path.stat().st_size < 4000


def test_backbone_alone(checkpoint, tmp_path):
    published = publish(checkpoint, str(tmp_path / 'out'), backbone_only=True)
    expected = {'backbone.weight': weights(checkpoint)['backbone.weight']}
    for path in published.files:
        assert_equal(weights(path), expected)
    assert 'state_dict: 1 keys outside the backbone' in published.removed


def test_a_missing_backbone_is_named(tmp_path):
    torch.save({'head.bias': torch.ones(2)}, tmp_path / 'head.pth')
    with pytest.raises(ValueError, match=r'backbone\.; the file has head\.'):
        publish(str(tmp_path / 'head.pth'), str(tmp_path / 'out'), backbone_only=True)


def test_half_precision_halves_the_weights_alone(tmp_path):
    content = dict(weight=torch.rand(1000) + 0.5, num_batches_tracked=torch.tensor(70000))
    torch.save(content, tmp_path / 'full.pth')
    for path in publish(str(tmp_path / 'full.pth'), str(tmp_path / 'out'), half=True).files:
        found = weights(path)
        assert found['num_batches_tracked'] == 70000
        assert found['weight'].dtype == torch.half
        torch.testing.assert_close(found['weight'].float(), content['weight'], rtol=1e-3, atol=0)


def test_weights_that_half_precision_does_not_hold_are_named(tmp_path):
    torch.save({'head.weight': torch.tensor([1e5])}, tmp_path / 'full.pth')
    with pytest.raises(ValueError, match=r'head\.weight has values above 65504'):
        publish(str(tmp_path / 'full.pth'), str(tmp_path / 'out'), half=True)
    assert not list(tmp_path.glob('out*'))


@pytest.mark.parametrize('suffix', ['', '.pth', '.safetensors'])
def test_same_checkpoint_gives_same_files(suffix, checkpoint, tmp_path):
    first = publish(checkpoint, str(tmp_path / 'out')).files
    again = publish(checkpoint, str(tmp_path / f'out{suffix}')).files
    assert again == first
    assert len(list(tmp_path.glob('out*'))) == 2


def test_a_dot_in_the_name_stays(checkpoint, tmp_path):
    for path in publish(checkpoint, str(tmp_path / 'rsir_v1.0')).files:
        assert path.name.startswith('rsir_v1.0-')


@each_file
def test_another_file_is_not_overwritten(file, checkpoint, tmp_path):
    files = publish(checkpoint, str(tmp_path / 'out')).files
    files[1 - file].unlink()
    files[file].write_bytes(b'of somebody else')
    with pytest.raises(FileExistsError, match=files[file].name):
        publish(checkpoint, str(tmp_path / 'out'))
    assert files[file].read_bytes() == b'of somebody else'
    assert not files[1 - file].exists()


def test_an_interrupted_write_leaves_nothing(checkpoint, tmp_path, monkeypatch):
    def full(*_):
        raise OSError('no space left on device')

    monkeypatch.setattr(os, 'replace', full)
    with pytest.raises(OSError, match='no space'):
        publish(checkpoint, str(tmp_path / 'weights/out'))
    assert list((tmp_path / 'weights').iterdir()) == []


@pytest.mark.parametrize('backbone_only', [False, True])
def test_tool_prints_what_it_did(backbone_only, checkpoint, tmp_path, monkeypatch, capsys):
    flags = ['--backbone-only'] if backbone_only else []
    run_tool(monkeypatch, checkpoint, tmp_path / 'out', *flags)
    printed = capsys.readouterr().out
    assert ('removed state_dict: 1 keys' in printed) == backbone_only
    for path in tmp_path.glob('out*'):
        assert f'{path}: 0.00 MB' in printed


@pytest.mark.parametrize(
    'content',
    [b'', b'this is text', pickle.dumps([1, 2], 2), pickle.dumps({'state_dict': {}}, 2)],
    ids=['empty', 'text', 'list', 'no weights'],
)
def test_tool_refuses_what_is_no_checkpoint(content, tmp_path, monkeypatch, capsys):
    (tmp_path / 'epoch_1.pth').write_bytes(content)
    with pytest.raises(SystemExit):
        run_tool(monkeypatch, tmp_path / 'epoch_1.pth', tmp_path / 'out')
    said = capsys.readouterr().err
    assert re.search(r'error: .*/epoch_1\.pth is (damaged, or )?not a checkpoint', said)
    assert not list(tmp_path.glob('out*'))


def test_tool_names_the_nearest_file(checkpoint, tmp_path, monkeypatch, capsys):
    with pytest.raises(SystemExit):
        run_tool(monkeypatch, tmp_path / 'epoch_2.pth', tmp_path / 'out')
    said = capsys.readouterr().err
    assert f'does not exist; did you mean {tmp_path}/epoch_1.pth' in said
