"""Runs uv under the settings that pip has; gets it by pip first.

uv, and a Python that uv gets, land in the cache: MMRSIR_CACHE, by default ~/.cache/mmrsir. uv reads
no pip.conf and no PIP_... variables: this hands it pip's index, certificates and proxy. Variables
of uv's own, such as UV_DEFAULT_INDEX, win. Needs the standard library only, and runs on Python 3.8.
"""

from __future__ import annotations

import os
import re
import subprocess
import sys
import tempfile
from importlib.util import find_spec
from pathlib import Path

CONSTRAINTS = Path(__file__).resolve().parents[1] / 'requirements' / 'constraints.txt'
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


def pip(*arguments: str) -> str:
    """What this Python's pip prints, or the one that its ensurepip holds."""
    program = ['-m', 'pip']
    if find_spec('pip') is None:
        ensurepip = find_spec('ensurepip')
        places = ensurepip.submodule_search_locations if ensurepip else None
        wheels = [each for place in places or () for each in Path(place).glob('_bundled/pip-*.whl')]
        if not wheels:
            raise OSError(f'{sys.executable} has no pip: install the package python3-pip')
        program = [f'{wheels[0]}/pip']
    # This is no environment, and need not be one.
    variables = {**os.environ, 'PIP_REQUIRE_VIRTUALENV': '0', 'PIP_USER': '0'}
    command = [sys.executable, *program, *arguments]
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
