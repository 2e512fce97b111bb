"""Run the tools as a user does."""

import json
import multiprocessing
import os
import random
import runpy
import socket
import subprocess
import sys
import tempfile
from pathlib import Path

import numpy as np
import torch

ROOT = Path(__file__).parents[2]
# What most of a tool's start goes into: tools are forked from a process that has imported it.
PRELOADED = (
    'imgaug matplotlib.pyplot mmcv.ops mmengine.runner numba scipy.stats sklearn.metrics timm '
    'torch._dynamo torchvision'
)
FORKS = multiprocessing.get_context('forkserver')
FORKS.set_forkserver_preload(PRELOADED.split())
# What a test of each library reports.
METRIC = {'mmdet': 'coco/segm_mAP', 'mmseg': 'mIoU', 'mmpretrain': 'accuracy/top1'}


def run(*command, expect=0, timeout=300):
    """Run a command in the repository's root and return its output."""
    done = subprocess.run(
        [str(part) for part in command],
        cwd=ROOT,
        env=_environment(),
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        timeout=timeout,
        check=False,
    )
    assert done.returncode == expect, done.stdout[-5000:]
    return done.stdout


def tool(name, *arguments, expect=0, timeout=300):
    """Run one of the Python tools and return its output."""
    command = [str(part) for part in (ROOT / 'tools' / name, *arguments)]
    with tempfile.NamedTemporaryFile() as file:
        process = FORKS.Process(target=_run_script, args=(command, file.name, _environment()))
        process.start()
        process.join(timeout)
        process.kill()  # unless it has ended
        process.join()
        output = Path(file.name).read_text()
    assert process.exitcode == expect, output[-5000:]
    return output


def _environment():
    with socket.socket() as free:
        free.bind(('127.0.0.1', 0))
        port = str(free.getsockname()[1])
    return {**os.environ, 'PYTHON': sys.executable, 'OMP_NUM_THREADS': '1', 'PORT': port}


def _run_script(command, output, environment):
    """Be a process that Python started for a script."""
    with Path(output).open('wb') as file:
        os.dup2(file.fileno(), sys.stdout.fileno())
        os.dup2(file.fileno(), sys.stderr.fileno())
    os.environ.clear()
    os.environ.update(environment)
    os.chdir(ROOT)
    torch.set_num_threads(1)
    for seed in (random.seed, np.random.seed, torch.seed):  # a fork repeats its parent's draws
        seed()
    sys.argv = command
    sys.path[0] = str(Path(command[0]).parent)
    runpy.run_path(command[0], run_name='__main__')


def read_metrics(work_dir):
    """Return the metrics of the last test in a work folder."""
    return json.loads(max(work_dir.glob('*/*.json')).read_text())


def on_data(scope, root):
    """Return the --cfg-options that point a shapes config to a small data set."""
    if scope == 'mmdet':
        annotations = root / 'coco/annotations/instances_val.json'
        options = [f'{part}_evaluator.ann_file={annotations}' for part in ('val', 'test')]
        folder = root / 'coco'
    else:
        options = []
        folder = root / {'mmseg': 'ade', 'mmpretrain': 'imagenet'}[scope]
    for part in ('train', 'val', 'test'):
        options += [
            f'{part}_dataloader.dataset.data_root={folder}/',
            f'{part}_dataloader.num_workers=0',
            f'{part}_dataloader.persistent_workers=False',
        ]
    return options
