"""Fake packages, and a Python that sees nothing else."""

import json
import os
import shutil
import subprocess
from pathlib import Path

from mmrsir.doctor.checks import FAMILY

ROOT = Path(__file__).parents[2]

TORCH = """
from types import SimpleNamespace
from unittest.mock import MagicMock

__version__ = '2.11.0+cu130'
version = SimpleNamespace(cuda='13.0')
cuda = SimpleNamespace(
    is_available=lambda: False,
    get_device_name=lambda: 'A GPU',
    get_device_capability=lambda: (9, 0),
)
save, zeros = MagicMock(), MagicMock()

def tensor(data):
    return MagicMock(device='cpu', cuda=lambda: MagicMock(device='cuda'))
"""
LIBRARY = "__version__ = '1.0'\nprint('noise')\n"
REGISTERS = 'def register_all_modules(): pass\n'
LOADER = 'from unittest.mock import MagicMock\nCheckpointLoader = MagicMock()\n'


class Environment:
    """Fake packages in a folder, seen by a Python that has nothing else."""

    def __init__(self, python, folder):
        self.python = python
        self.folder = folder

    def write(self, name, content):
        file = self.folder / name
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(content)

    def replace(self, name, old, new):
        content = (self.folder / name).read_text()
        assert old in content
        self.write(name, content.replace(old, new))

    def remove(self, name):
        shutil.rmtree(self.folder / name)

    def package(self, distribution, version='1.0', requires='numpy'):
        metadata = f'Name: {distribution}\nVersion: {version}\nRequires-Dist: {requires}\n'
        info = f'{distribution.replace("-", "_")}-{version}.dist-info'
        self.write(f'{info}/METADATA', f'Metadata-Version: 2.1\n{metadata}')

    def use_upstream(self, *names):
        for name in names:
            self.remove(f'{FAMILY[name][0].replace("-", "_")}-1.0.dist-info')
            self.package(FAMILY[name][1])

    def uninstall(self, name):
        self.remove(name)
        self.remove(f'{FAMILY[name][0].replace("-", "_")}-1.0.dist-info')

    def gpu(self, driver='580.1'):
        self.write('bin/nvidia-smi', f'#!/bin/sh\necho {driver}\n')
        (self.folder / 'bin/nvidia-smi').chmod(0o755)

    def run(self, *arguments):
        environment = dict(
            os.environ, PYTHONPATH=str(self.folder), PATH=f'{self.folder}/bin:{os.environ["PATH"]}'
        )
        command = [self.python, '-m', 'mmrsir.doctor', *arguments]
        return subprocess.run(
            command, cwd=ROOT, env=environment, capture_output=True, text=True, check=False
        )

    def examine(self):
        done = self.run('--json')
        assert done.returncode == 1, done.stderr  # mmrsir itself does not run on a fake torch
        assert done.stderr == ''
        return {check['name']: check for check in json.loads(done.stdout)}


def healthy(python, folder):
    """An environment with nothing wrong, as far as fakes can tell."""
    made = Environment(python, folder)
    made.write('torch/__init__.py', TORCH)
    made.write('cv2/__init__.py', LIBRARY)
    for name in ('mmengine', 'mmcv', 'mmdet', 'mmseg', 'mmpretrain'):
        made.write(f'{name}/__init__.py', LIBRARY)
        made.write(f'{name}/utils.py', REGISTERS)
        made.package(FAMILY[name][0])
    made.write('mmengine/logging.py', 'HistoryBuffer = print\n')
    made.write('mmengine/runner.py', LOADER)
    made.write('mmcv/ops.py', 'nms = print\n')
    made.package('torchvision', '0.26.0', 'torch ==2.11.0')
    made.package('numpy', '2.2.6')
    made.package('opencv-python', '4.12.0.88')
    made.package('opencv-python-headless', '4.12.0.88')
    return made
