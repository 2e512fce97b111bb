"""What a machine must have: checks that the doctor shares with dev/setup_env.py.

Needs the standard library only, and runs on Python 3.8, which is then told that it is too old.
"""

from __future__ import annotations

import os
import re
import shlex
import subprocess
import sys
import sysconfig
from pathlib import Path

OLDEST_PYTHON, NEWEST_PYTHON = (3, 10), (3, 14)
FIRST_CPP20_TORCH = (2, 14)
FIRST_GCC = {'c++17': 9, 'c++20': 11}  # that compiles the headers of torch


def release(version: str) -> tuple[int, ...]:
    """The first two numbers of a version."""
    return tuple(int(number) for number in re.findall(r'\d+', version)[:2])


def python_problem(version: tuple[int, ...] = sys.version_info[:2]) -> str | None:
    if OLDEST_PYTHON <= version[:2] <= NEWEST_PYTHON:
        return None
    oldest, newest = ('.'.join(map(str, pair)) for pair in (OLDEST_PYTHON, NEWEST_PYTHON))
    return f'Python {version[0]}.{version[1]} is not supported; Python {oldest} to {newest} is.'


def headers_problem() -> str | None:
    """Linux distributions pack the C headers apart from Python."""
    include = sysconfig.get_paths()['include']
    if Path(include, 'Python.h').exists():
        return None
    package = f'python{sys.version_info[0]}.{sys.version_info[1]}-dev'
    return f'{include} has no Python.h: install the package {package} or python3-devel.'


def cpp_standard(torch_version: str) -> str:
    """The C++ that the headers of a torch are written in."""
    return 'c++20' if release(torch_version) >= FIRST_CPP20_TORCH else 'c++17'


def compiler() -> list[str]:
    return shlex.split(os.environ.get('CXX', 'c++'))


def compiler_problem(torch_version: str) -> str | None:
    standard = cpp_standard(torch_version)
    command = [*compiler(), f'-std={standard}', '-fsyntax-only', '-x', 'c++', os.devnull]
    try:
        probe = subprocess.run(command, capture_output=True, text=True, check=False)
    except OSError as error:
        return f'There is no C++ compiler: install the package g++ or gcc-c++ ({error}).'
    if probe.returncode == 0:
        return None
    oldest, said = f'gcc {FIRST_GCC[standard]}', ' '.join(probe.stderr.split())
    return f'{command[0]} cannot compile {standard.upper()}; install {oldest} or newer: {said}'
