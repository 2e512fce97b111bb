"""Run the tools as a user does."""

import json
import runpy
import subprocess
import sys

from .forks import ROOT, environment, free_port, run_script

# What a test of each library reports.
METRIC = {'mmdet': 'coco/segm_mAP', 'mmseg': 'mIoU', 'mmpretrain': 'accuracy/top1'}


def run(*command, expect=0, timeout=300):
    """Run a command in the repository's root and return its output."""
    done = subprocess.run(
        [str(part) for part in command],
        cwd=ROOT,
        env={**environment(), 'PORT': free_port()},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        timeout=timeout,
        check=False,
    )
    assert done.returncode == expect, done.stdout[-5000:]
    return done.stdout


def tool(name, *arguments, expect=0, timeout=300, folder=ROOT):
    """Run one of the Python tools in a folder and return its output."""
    script = ROOT / 'tools' / name
    code, output = run_script(script, *arguments, timeout=timeout, folder=folder)
    assert code == expect, output[-5000:]
    return output


def run_here(monkeypatch, script, *arguments):
    """Run a script of the repository in this process."""
    path = str(ROOT / script)
    monkeypatch.setattr(sys, 'argv', [path, *map(str, arguments)])
    runpy.run_path(path, run_name='__main__')


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
