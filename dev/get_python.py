"""Gets a Python for the set-up where the machine has none that fits: with uv, from PyPI.

Everything lands in the cache folder (MMRSIR_CACHE, by default ~/.cache/mmrsir). Parses on Python
3.8.
"""

from __future__ import annotations

import hashlib
import json
import os
import platform
import re
import subprocess
import sys
import tempfile
import urllib.request
import zipfile
from pathlib import Path
from urllib.parse import urljoin

PYTHON = '3.11'  # what the tests run on most
PYPI = 'https://pypi.org/pypi/uv/json'


class NoPythonError(Exception):
    """No Python could be had; the message says why, in one line."""


def cache() -> Path:
    """The folder for what set-ups share: wheels of mmcv, uv, a Python."""
    return cache_of('mmrsir', 'MMRSIR_CACHE')


def cache_of(program: str, variable: str) -> Path:
    """The cache folder of a program: what the variable says, or one of the user's cache."""
    base = os.environ.get('XDG_CACHE_HOME') or Path.home() / '.cache'
    return Path(os.environ.get(variable) or Path(base) / program).expanduser().absolute()


def download_uv(folder: Path) -> Path:
    """Fetches uv's wheel: by pip, which may have an index of its own, or else from PyPI."""
    pip = [sys.executable, '-m', 'pip', 'download', '--quiet', '--no-deps', '--only-binary=:all:']
    pip += ['--retries', '1', '--dest', str(folder), 'uv']
    if subprocess.run(pip, stderr=subprocess.DEVNULL, check=False).returncode == 0:
        return next(folder.glob('uv-*.whl'))
    with urllib.request.urlopen(PYPI, timeout=60) as page:
        files = json.load(page)['urls']
    system = 'macosx' if sys.platform == 'darwin' else 'manylinux'
    tag = re.compile(rf'{system}.*{platform.machine()}\.whl$')
    file = next((file for file in files if tag.search(file['filename'])), None)
    if file is None:
        raise NoPythonError(f'uv has no wheel for {system} on {platform.machine()}')
    with urllib.request.urlopen(urljoin(PYPI, file['url']), timeout=60) as response:
        content = response.read()
    if hashlib.sha256(content).hexdigest() != file['digests']['sha256']:
        raise NoPythonError(f'{file["url"]} arrived damaged')
    (folder / file['filename']).write_bytes(content)
    return folder / file['filename']


def get_uv() -> Path:
    uv = cache() / 'uv' / 'uv'
    if not uv.exists():
        uv.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=str(uv.parent)) as folder:
            with zipfile.ZipFile(download_uv(Path(folder))) as wheel:
                name = next(name for name in wheel.namelist() if name.endswith('/scripts/uv'))
                program = Path(wheel.extract(name, folder))
            program.chmod(0o755)
            program.replace(uv)
    return uv


def get_python() -> Path:
    """Returns the interpreter; downloads uv and a Python of python-build-standalone once."""
    environment = {**os.environ, 'UV_PYTHON_INSTALL_DIR': str(cache() / 'python')}
    try:
        uv = str(get_uv())
        for arguments in (['install', '--no-bin'], ['find', '--managed-python', '--no-project']):
            command = [uv, 'python', *arguments, '--no-config', PYTHON]
            done = subprocess.run(
                command, env=environment, capture_output=True, text=True, check=False
            )
            if done.returncode != 0:
                raise NoPythonError(' '.join(done.stderr.split())[:300])
    except (OSError, zipfile.BadZipFile) as error:
        raise NoPythonError(str(error)) from error
    return Path(done.stdout.strip())
