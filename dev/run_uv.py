"""Runs uv under the settings that pip has; gets it from PyPI first.

uv, and a Python that uv gets, land in the cache: MMRSIR_CACHE, by default ~/.cache/mmrsir. uv reads
no pip.conf and no PIP_... variables: this hands it pip's index, certificates and proxy. Variables
of uv's own, such as UV_DEFAULT_INDEX, win. Needs the standard library only, and runs on Python 3.8.
"""

from __future__ import annotations

import hashlib
import os
import re
import subprocess
import sys
import tempfile
import urllib.request
from importlib.util import find_spec
from pathlib import Path

CONSTRAINTS = Path(__file__).resolve().parents[1] / 'requirements' / 'constraints.txt'
# The last one for Python 3.9. Some distributions pack Python without pip.
PIP_WHEEL = (
    'https://files.pythonhosted.org/packages/de/f0/'
    'c81e05b613866b76d2d1066490adf1a3dbc4ee9d9c839961c3fc8a6997af/pip-26.0.1-py3-none-any.whl'
)
# By the setting of pip. Several values are parted by blanks, but those of find-links by commas.
VARIABLES = {
    'index-url': 'UV_DEFAULT_INDEX',
    'extra-index-url': 'UV_INDEX',
    'find-links': 'UV_FIND_LINKS',
    'no-index': 'UV_NO_INDEX',
    'constraint': 'UV_CONSTRAINT',
    'cert': 'SSL_CERT_FILE',
    'client-cert': 'SSL_CLIENT_CERT',
    'keyring-provider': 'UV_KEYRING_PROVIDER',
    'proxy': 'ALL_PROXY',
    'timeout': 'UV_HTTP_TIMEOUT',
    'trusted-host': 'UV_INSECURE_HOST',
}
# As pip: the newest version of all indexes, certificates of the system, no word on hard links.
LIKE_PIP = dict(UV_INDEX_STRATEGY='unsafe-best-match', UV_SYSTEM_CERTS='1', UV_NO_CONFIG='1')


def cache() -> Path:
    """The folder for what set-ups share: uv, a Python, wheels of mmcv."""
    base = Path(os.environ.get('XDG_CACHE_HOME') or '~/.cache')
    return Path(os.environ.get('MMRSIR_CACHE') or base / 'mmrsir').expanduser().absolute()


def pip_wheel() -> Path:
    """The wheel of pip, which Python runs as it is: only with the bytes that PyPI has."""
    *_, first, second, rest, name = PIP_WHEEL.split('/')  # addresses of PyPI hold a hash
    wheel = cache() / name

    def digest(data: bytes) -> str:
        return hashlib.blake2b(data, digest_size=32).hexdigest()

    if wheel.exists() and digest(wheel.read_bytes()) == first + second + rest:
        return wheel
    with urllib.request.urlopen(PIP_WHEEL, timeout=60) as response:
        data = response.read()
    if digest(data) != first + second + rest:
        raise OSError(
            f'{PIP_WHEEL} gave another file than PyPI has: {len(data)} bytes with the blake2b hash '
            f'{digest(data)}. A proxy may have changed it, or the download broke off. Try again, '
            'or install pip for this Python'
        )
    wheel.write_bytes(data)
    return wheel


def pip(*arguments: str) -> str:
    """What this Python's pip prints, or one from PyPI where it has none."""
    program = [f'{pip_wheel()}/pip'] if find_spec('pip') is None else ['-m', 'pip']
    command = [sys.executable, *program, *arguments]
    # This is no environment, and need not be one.
    variables = {**os.environ, 'PIP_REQUIRE_VIRTUALENV': '0', 'PIP_USER': '0'}
    return subprocess.run(
        command, env=variables, stdout=subprocess.PIPE, text=True, check=True
    ).stdout


def get_uv() -> str:
    pins = CONSTRAINTS.read_text(encoding='utf-8').splitlines()
    pin = next(line for line in pins if line.startswith('uv=='))
    folder = cache() / pin
    if not folder.exists():
        with tempfile.TemporaryDirectory(dir=str(cache())) as partial:
            pip('install', '--no-deps', '--target', f'{partial}/uv', pin)
            Path(partial, 'uv').rename(folder)
    return f'{folder}/bin/uv'


def uv_settings(listing: str) -> dict[str, str]:
    """The variables that give uv what `pip config list` tells."""
    settings: dict[str, str] = {}
    for place in ('global', 'install', ':env:'):  # the later ones win
        settings.update(re.findall(rf"^{place}\.([\w-]+)=['\"](.*)['\"]$", listing, re.MULTILINE))
    return {
        VARIABLES[name]: (',' if name == 'find-links' else ' ').join(re.split(r'\\n| ', value))
        for name, value in settings.items()
        if name in VARIABLES
    }


if __name__ == '__main__':
    try:
        cache().mkdir(parents=True, exist_ok=True)
        uv, settings = get_uv(), uv_settings(pip('config', 'list'))
    except (OSError, subprocess.CalledProcessError) as error:
        sys.exit(f'error: {error}')
    python = {'UV_PYTHON_INSTALL_DIR': str(cache() / 'python')}
    os.execve(uv, [uv, *sys.argv[1:]], {**LIKE_PIP, **python, **settings, **os.environ})
