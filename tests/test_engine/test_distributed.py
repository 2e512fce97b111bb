"""Two processes on the CPU, of one machine or of two."""

import os
import pickle
import signal
import subprocess
import tempfile
import time

import numpy as np
import pytest
import torch

from mmrsir.engine.launch import _replace_sync_bn

from ..helpers.commands import ROOT, on_data, read_metrics, run, tool
from ..helpers.forks import environment, free_port

CONFIG = 'configs/mask_rcnn/rsir_n_shapes.py'


# Two iterations: 8 images, 2 processes, 2 images each; at the full learning rate at once.
SHORT = [
    'train_cfg.max_epochs=1',
    'train_cfg.val_interval=2',
    'param_scheduler.0.start_factor=1.0',
]


def run_on_two_machines(*command, timeout=300):
    """Run a command as the README shows it, on two machines that are both this one."""
    meeting = {'NNODES': '2', 'MASTER_ADDR': '127.0.0.1', 'PORT': free_port()}
    deadline = time.monotonic() + timeout
    with tempfile.TemporaryFile('w+') as output:
        machines = [
            subprocess.Popen(
                [str(part) for part in command],
                cwd=ROOT,
                env={**environment(), **meeting, 'NODE_RANK': str(rank)},
                stdout=output,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )
            for rank in range(2)
        ]
        try:
            while {one.poll() for one in machines} in ({None}, {None, 0}):
                assert time.monotonic() < deadline, f'not done after {timeout} s'
                time.sleep(0.1)
        finally:
            for one in machines:
                if one.poll() is None:
                    os.killpg(one.pid, signal.SIGTERM)  # torchrun then ends its processes
                    one.wait()
        output.seek(0)
        assert [one.returncode for one in machines] == [0, 0], output.read()[-5000:]


@pytest.fixture(scope='module')
def on_one_machine(shapes, tmp_path_factory):
    """The work folder of a training with two processes of one machine."""
    work_dir = tmp_path_factory.mktemp('one_machine')
    options = ['--cfg-options', *on_data('mmdet', shapes), *SHORT]
    output = run('tools/dist_train.sh', CONFIG, 2, '--work-dir', work_dir, *options)
    assert 'Distributed training: True' in output
    return work_dir


@pytest.fixture(scope='module')
def on_two_machines(shapes, tmp_path_factory):
    """The work folder of a training with one process on each of two machines."""
    work_dir = tmp_path_factory.mktemp('two_machines')
    options = ['--cfg-options', *on_data('mmdet', shapes), *SHORT]
    run_on_two_machines('tools/dist_train.sh', CONFIG, 1, '--work-dir', work_dir, *options)
    return work_dir


@pytest.mark.slow
def test_two_machines_train_like_one(on_one_machine, on_two_machines):
    expected, actual = (
        torch.load(work_dir / 'epoch_1.pth', weights_only=False)
        for work_dir in (on_one_machine, on_two_machines)
    )
    assert actual['meta']['iter'] == expected['meta']['iter'] == 2
    torch.testing.assert_close(actual['state_dict'], expected['state_dict'], rtol=0, atol=1e-6)


@pytest.mark.slow
def test_two_machines_log_to_one_folder(on_two_machines):
    (folder,) = (path for path in on_two_machines.iterdir() if path.is_dir())
    assert [path.name for path in folder.glob('*.log')] == [f'{folder.name}.log']


@pytest.mark.slow
def test_two_processes_test_like_one(on_one_machine, shapes, tmp_path):
    options = ['--cfg-options', *on_data('mmdet', shapes)]
    command = (CONFIG, on_one_machine / 'epoch_1.pth')
    # Five images do not divide by two.
    tool('test.py', *command, '--work-dir', tmp_path / 'a', '--out', tmp_path / 'a.pkl', *options)
    out = ('--out', tmp_path / 'b.pkl')
    run('tools/dist_test.sh', *command, 2, '--work-dir', tmp_path / 'b', *out, *options)

    expected, actual = (
        {one['img_id']: one['pred_instances'] for one in pickle.loads(path.read_bytes())}
        for path in (tmp_path / 'a.pkl', tmp_path / 'b.pkl')
    )
    assert len(expected) == 5
    assert actual.keys() == expected.keys()
    for image, instances in expected.items():
        assert len(instances['scores']) > 0
        for key in ('bboxes', 'scores', 'labels'):
            np.testing.assert_array_equal(actual[image][key], instances[key])
    metrics = [read_metrics(tmp_path / name) for name in 'ab']
    for one in metrics:
        del one['time'], one['data_time']
    assert metrics[0] == metrics[1]


def test_sync_bn_becomes_bn_wherever_it_stands():
    settings = dict(
        neck=[dict(norm_cfg=dict(type='SyncBN', requires_grad=True)), None],
        head=dict(norm_cfg=dict(type='GN'), convs=(dict(norm_cfg=dict(type='SyncBN')),)),
    )
    _replace_sync_bn(settings)
    assert settings['neck'][0]['norm_cfg'] == dict(type='BN', requires_grad=True)
    assert settings['head']['convs'][0]['norm_cfg']['type'] == 'BN'
    assert settings['head']['norm_cfg']['type'] == 'GN'
