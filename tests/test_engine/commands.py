"""Run the tools as a user does."""

import json
import os
import socket
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[2]
# What a test of each library reports.
METRIC = {'mmdet': 'coco/segm_mAP', 'mmseg': 'mIoU', 'mmpretrain': 'accuracy/top1'}


def run(*command, expect=0, timeout=300):
    """Run a command in the repository's root and return its output."""
    with socket.socket() as free:
        free.bind(('127.0.0.1', 0))
        port = str(free.getsockname()[1])
    environment = {
        **os.environ,
        'PYTHON': sys.executable,
        'OMP_NUM_THREADS': '1',
        'PORT': port,
    }
    done = subprocess.run(
        [str(part) for part in command],
        cwd=ROOT,
        env=environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        timeout=timeout,
        check=False,
    )
    assert done.returncode == expect, done.stdout[-5000:]
    return done.stdout


def tool(name, *arguments, expect=0, timeout=300):
    """Run one of the Python tools."""
    return run(sys.executable, ROOT / 'tools' / name, *arguments, expect=expect, timeout=timeout)


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
