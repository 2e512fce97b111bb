"""What a machine must have: checks that the doctor shares with dev/setup_env.py.

Needs the standard library only, and parses on Python 3.8, which is then told that it is too old.
"""

from __future__ import annotations

import importlib.util
import os
import re
import shlex
import shutil
import subprocess
import sys
import sysconfig
from pathlib import Path
from typing import Sequence

OLDEST_PYTHON, NEWEST_PYTHON = (3, 10), (3, 14)
OLDEST_TORCH, FIRST_CPP20_TORCH = (2, 7), (2, 14)
# By the standard of C++: a few lines that only it has, and the first gcc that compiles them.
CPP_PROBES = {
    'c++17': ('#include <optional>\nint main() { return std::optional<int>(0).value(); }', 9),
    'c++20': ('#include <concepts>\nint main() { return std::integral<int> ? 0 : 1; }', 11),
}


def release(version: str) -> tuple[int, ...]:
    """The first two numbers of a version."""
    return tuple(int(number) for number in re.findall(r'\d+', version)[:2])


def python_problem(version: Sequence[int]) -> str | None:
    if OLDEST_PYTHON <= tuple(version[:2]) <= NEWEST_PYTHON:
        return None
    oldest, newest = ('.'.join(map(str, pair)) for pair in (OLDEST_PYTHON, NEWEST_PYTHON))
    return f'Python {version[0]}.{version[1]} is not supported; Python {oldest} to {newest} is.'


def python_parts_problem() -> str | None:
    """Linux distributions pack venv and the C headers apart from Python."""
    python = f'python{sys.version_info[0]}.{sys.version_info[1]}'
    if not all(importlib.util.find_spec(module) for module in ('venv', 'ensurepip')):
        return (
            f'{sys.executable} has no venv or ensurepip module: install the package {python}-venv.'
        )
    include = Path(sysconfig.get_paths()['include'])
    if not (include / 'Python.h').exists():
        return f'{include} has no Python.h: install the package {python}-dev or python3-devel.'
    return None


def torch_problem(version: str) -> str | None:
    if release(version) < OLDEST_TORCH:
        return f'torch {version} is too old; {".".join(map(str, OLDEST_TORCH))} or newer is needed'
    return None


def cpp_standard(torch_version: str) -> str:
    """The C++ that the headers of a torch are written in."""
    return 'c++20' if release(torch_version) >= FIRST_CPP20_TORCH else 'c++17'


def compiler() -> list[str]:
    return shlex.split(os.environ.get('CXX', 'c++'))


def compiler_problem(torch_version: str) -> str | None:
    standard = cpp_standard(torch_version)
    lines, gcc = CPP_PROBES[standard]
    name = compiler()[0]
    if shutil.which(name) is None:
        return f'There is no C++ compiler ({name}): install the package g++ or gcc-c++.'
    command = [*compiler(), f'-std={standard}', '-fsyntax-only', '-x', 'c++', '-']
    probe = subprocess.run(command, input=lines, capture_output=True, text=True, check=False)
    if probe.returncode == 0:
        return None
    error = ' '.join(probe.stderr.split())
    return f'{name} cannot compile {standard.upper()}; install gcc {gcc} or newer: {error}'
