"""The Slurm scripts, with an srun that only says what it was asked."""

import os
import subprocess

import pytest

from ..helpers.commands import ROOT


@pytest.mark.parametrize(
    ('script', 'arguments', 'command'),
    [
        ('slurm_train.sh', ['CFG', 'WORK', '--amp'], 'train.py CFG --work-dir WORK'),
        ('slurm_test.sh', ['CFG', 'CKPT', '--tta'], 'test.py CFG CKPT'),
    ],
)
def test_slurm_starts_one_process_a_gpu(script, arguments, command, tmp_path):
    srun = tmp_path / 'srun'
    srun.write_text('#!/bin/sh\necho "$@"\n')
    srun.chmod(0o755)
    environment = {**os.environ, 'PATH': f'{tmp_path}:{os.environ["PATH"]}', 'GPUS': '16'}
    asked = subprocess.run(
        [ROOT / 'tools' / script, 'PART', 'JOB', *arguments],
        env=environment,
        capture_output=True,
        text=True,
        check=True,
    ).stdout
    for option in (
        'partition=PART',
        'job-name=JOB',
        'ntasks=16',
        'ntasks-per-node=8',
        'gres=gpu:8',
    ):
        assert f'--{option} ' in asked
    assert f'{command} --launcher slurm {arguments[-1]}' in asked


@pytest.mark.parametrize(
    'script', ['dist_train.sh', 'dist_test.sh', 'slurm_train.sh', 'slurm_test.sh']
)
def test_scripts_explain_themselves_without_arguments(script):
    done = subprocess.run([ROOT / 'tools' / script], capture_output=True, text=True, check=False)
    assert done.returncode == 2
    assert f'Usage: tools/{script}' in done.stderr
