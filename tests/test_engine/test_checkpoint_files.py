"""Checkpoint files: killed while written, damaged, on a full disk, sealed."""

import io
import json
import os
import resource
import shutil
import sys

import pytest
import torch

from mmrsir.checkpoints import seal
from mmrsir.checkpoints.seal import CorruptCheckpointError, check_intact
from mmrsir.engine import launch
from mmrsir.engine.hooks.checkpoint import POINTER, CheckpointNotSavedError
from mmrsir.engine.loops.resuming import newest_checkpoint
from mmrsir.utils.files import write_whole

from ..helpers.commands import on_data, run, tool
from ..helpers.resumed_trainings import CONFIGS, load_config


@pytest.mark.parametrize('kills', [4, pytest.param(50, marks=pytest.mark.slow)])
def test_kill_at_any_moment_loses_nothing(tmp_path, kills):
    command = ('-m', 'tests.helpers.killed_trainings', tmp_path / 'run')
    output = run(sys.executable, *command, 'ResumableCheckpointHook', kills, timeout=600)
    results = [json.loads(line) for line in output.splitlines() if line.startswith('{')]
    assert len(results) == kills
    for before, kill in zip([dict(resumable=0), *results], results, strict=False):
        assert kill['resumable'] >= kill['saved'] > before['resumable']
    assert sum(kill['inside'] for kill in results) >= kills / 4  # or they would prove little
    assert len(list((tmp_path / 'run').glob('*.pth'))) <= 2  # one to keep, one to be deleted


@pytest.fixture(scope='module')
def trained(data, tmp_path_factory):
    """A work folder with four checkpoints."""
    folder = tmp_path_factory.mktemp('trained') / 'run'
    launch.build_runner(load_config('mmpretrain', data, folder)).train()
    return folder


@pytest.fixture
def work_dir(trained, tmp_path):
    """A copy of it, with files as old as there."""
    shutil.copytree(trained, tmp_path / 'run')
    (tmp_path / 'run' / POINTER).write_text(str(tmp_path / 'run/iter_4.pth'))
    return tmp_path / 'run'


def flip_bit(path, place):
    content = bytearray(path.read_bytes())
    content[int(place * len(content))] ^= 1
    path.write_bytes(content)


def test_newest_checkpoint_is_resumed(work_dir):
    assert newest_checkpoint(work_dir) == work_dir / 'iter_4.pth'
    (work_dir / POINTER).unlink()
    assert newest_checkpoint(work_dir) == work_dir / 'iter_4.pth'


@pytest.mark.parametrize('share', [0.0, 0.5, 0.999])
def test_truncated_checkpoint_is_named_and_the_one_before_resumed(work_dir, capsys, share):
    path = work_dir / 'iter_4.pth'
    path.write_bytes(path.read_bytes()[: int(share * path.stat().st_size)])
    assert newest_checkpoint(work_dir) == work_dir / 'iter_3.pth'
    (warning,) = capsys.readouterr().out.splitlines()
    assert f'{path} is damaged' in warning
    assert f'{work_dir / "iter_3.pth"} is resumed' in warning


@pytest.mark.parametrize('place', [0.01, 0.3, 0.6, 0.99])
def test_single_wrong_bit_is_found(work_dir, place):
    flip_bit(work_dir / 'iter_4.pth', place)
    with pytest.raises(CorruptCheckpointError, match='iter_4.pth is damaged: its SHA-256'):
        check_intact(work_dir / 'iter_4.pth')
    assert newest_checkpoint(work_dir) == work_dir / 'iter_3.pth'


def test_pointer_may_dangle_or_be_empty(work_dir):
    for content in (str(work_dir / 'iter_9.pth'), '', '/elsewhere/iter_4.pth'):
        (work_dir / POINTER).write_text(content)
        assert newest_checkpoint(work_dir) == work_dir / 'iter_4.pth'


def test_without_an_intact_checkpoint_the_tool_fails(work_dir, shapes):
    for path in work_dir.glob('*.pth'):
        flip_bit(path, 0.5)
    options = ['--cfg-options', *on_data('mmpretrain', shapes)]
    command = (CONFIGS['mmpretrain'], '--work-dir', work_dir, '--resume', *options)
    output = tool('train.py', *command, expect=1)
    for iteration in range(1, 5):
        assert f'iter_{iteration}.pth is damaged' in output
    assert 'Traceback' not in output


def test_without_a_checkpoint_a_resume_begins(data, tmp_path):
    cfg = load_config('mmpretrain', data, tmp_path)
    launch.enable_resume(cfg, 'auto')
    assert not cfg.resume
    assert cfg.load_from is None


@pytest.fixture
def full_disk():
    """A disk on which no file gets larger than a small part of a checkpoint."""
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (200_000, limits[1]))
    yield
    resource.setrlimit(resource.RLIMIT_FSIZE, limits)


def train_on(work_dir, data, **checkpoint):
    """Resume at the third iteration and keep one checkpoint."""
    cfg = load_config('mmpretrain', data, work_dir)
    cfg.default_hooks.checkpoint.update(max_keep_ckpts=1, **checkpoint)
    cfg.experiment_name = f'{work_dir}-resumed'
    launch.enable_resume(cfg, str(work_dir / 'iter_3.pth'))
    runner = launch.build_runner(cfg)
    (work_dir / 'iter_4.pth').unlink()
    runner.train()
    return runner


def test_full_disk_ends_the_training_and_keeps_what_was_saved(work_dir, data, full_disk):
    with pytest.raises(
        CheckpointNotSavedError, match='could not be saved.*File too large.*are unchanged'
    ):
        train_on(work_dir, data)
    assert newest_checkpoint(work_dir) == work_dir / 'iter_3.pth'
    assert not list(work_dir.glob('*.draft'))


def test_full_disk_may_be_trained_over(work_dir, data, full_disk):
    assert train_on(work_dir, data, on_error='continue').iter == 4
    assert newest_checkpoint(work_dir) == work_dir / 'iter_3.pth'
    logs = ''.join(path.read_text() for path in work_dir.glob('*/*.log'))
    assert 'a checkpoint could not be saved' in logs


def test_older_checkpoints_are_deleted_after_the_new_one_is_there(work_dir, data):
    train_on(work_dir, data)
    assert (work_dir / POINTER).read_text() == str(work_dir / 'iter_4.pth')
    check_intact(work_dir / 'iter_4.pth')


def test_best_checkpoint_replaces_the_one_before(data, tmp_path):
    cfg = load_config('mmpretrain', data, tmp_path)
    cfg.default_hooks.checkpoint.update(save_best='auto', rule='less', max_keep_ckpts=1)
    runner = launch.build_runner(cfg)
    scores = iter([50.0, 25.0])
    runner.val_evaluator.evaluate = lambda size: dict(score=next(scores))
    runner.train()
    (best,) = tmp_path.glob('best_*.pth')
    assert best.name == 'best_score_iter_4.pth'
    assert seal.verify(best)


def test_unknown_policy_is_refused(data, tmp_path):
    cfg = load_config('mmpretrain', data, tmp_path)
    cfg.default_hooks.checkpoint.on_error = 'stopp'
    with pytest.raises(ValueError, match="on_error='stopp' is unknown.*did you mean 'stop'"):
        launch.build_runner(cfg)


def test_sealed_file_is_read_as_ever(trained):
    path = trained / 'iter_1.pth'
    assert seal.verify(path)
    assert torch.load(path, weights_only=False)['meta']['iter'] == 1
    mark = path.read_bytes()[-len(seal.MARK) - seal.DIGEST_BYTES :]
    assert mark.startswith(seal.MARK)


def test_file_without_a_seal_is_checked_as_an_archive(tmp_path):
    path = tmp_path / 'a.pth'
    torch.save(dict(weight=torch.arange(1000.0)), path)
    assert not seal.verify(path)
    check_intact(path)
    flip_bit(path, 0.5)
    with pytest.raises(CorruptCheckpointError, match='checksum of .*data/0 is wrong'):
        check_intact(path)


def test_only_archives_are_sealed():
    with pytest.raises(ValueError, match='must be a zip archive'):
        seal.seal(io.BytesIO(b'something else'))


def test_files_are_written_all_or_none(tmp_path):
    first, second = tmp_path / 'a.txt', tmp_path / 'folder/b.txt'
    write_whole({first: 'a', second: b'b'})
    assert (first.read_text(), second.read_text()) == ('a', 'b')
    os.mkdir(tmp_path / 'c.txt.draft')
    with pytest.raises(OSError):
        write_whole({first: 'new', tmp_path / 'c.txt': 'c'})
    assert first.read_text() == 'a'
    assert not list(tmp_path.glob('a.txt.draft'))
