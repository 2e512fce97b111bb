"""`uv pip install`, several times as fast as pip's, under the settings that pip has.

uv reads no pip.conf and no PIP_... variables: this hands it pip's index, certificates and proxy.
Variables of uv's own, such as UV_DEFAULT_INDEX, win. Runs in the environment that it installs into.
"""

from __future__ import annotations

import ast
import os
import re
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path

# The variable of uv for a setting of pip, and what stands between several values.
VARIABLES = {
    'index-url': ('UV_DEFAULT_INDEX', ''),
    'extra-index-url': ('UV_INDEX', ' '),
    'find-links': ('UV_FIND_LINKS', ','),
    'no-index': ('UV_NO_INDEX', ''),
    'constraint': ('UV_CONSTRAINT', ' '),
    'cert': ('SSL_CERT_FILE', ''),
    'client-cert': ('SSL_CLIENT_CERT', ''),
    'keyring-provider': ('UV_KEYRING_PROVIDER', ''),
    'proxy': ('ALL_PROXY', ''),
    'timeout': ('UV_HTTP_TIMEOUT', ''),
    'trusted-host': ('UV_INSECURE_HOST', ' '),
}
# As pip: the newest version of all indexes, certificates of the system, no word on hard links.
LIKE_PIP = dict(UV_INDEX_STRATEGY='unsafe-best-match', UV_SYSTEM_CERTS='1', UV_NO_CONFIG='1')


def pip_settings(listing: str) -> dict[str, str]:
    """Settings by name from `pip config list`: variables win over commands, these over files."""
    settings = {}
    for place in ('global', 'install', ':env:'):
        for name, value in re.findall(rf"^{place}\.([\w-]+)=('.*'|\".*\")$", listing, re.MULTILINE):
            settings[name] = str(ast.literal_eval(value))
    return settings


def uv_environment(settings: Mapping[str, str]) -> dict[str, str]:
    """The variables that give uv these settings of pip."""
    environment = dict(LIKE_PIP)
    for name, value in settings.items():
        if name in VARIABLES:
            variable, separator = VARIABLES[name]
            environment[variable] = separator.join(value.split()) if separator else value
    return environment


def main() -> None:
    pip = [sys.executable, '-m', 'pip', 'config', 'list']
    listing = subprocess.run(pip, capture_output=True, text=True, check=True).stdout
    uv = str(Path(sys.executable).with_name('uv'))
    command = [uv, 'pip', 'install', '--python', sys.executable, *sys.argv[1:]]
    os.execve(uv, command, {**uv_environment(pip_settings(listing)), **os.environ})


if __name__ == '__main__':
    main()
