"""What dev/setup_env.py checks before it downloads anything; standard library only.

Each check returns the sentence to show, or None if all is well. Parses on Python 3.8 and later, so
that an unsupported Python is told so.
"""

from __future__ import annotations

import importlib.util
import os
import platform
import re
import runpy
import shlex
import shutil
import subprocess
import sys
import sysconfig
from pathlib import Path
from typing import Mapping, Sequence

ROOT = Path(__file__).resolve().parent.parent
SUPPORTED = runpy.run_path(str(ROOT / 'mmrsir' / 'doctor' / 'supported.py'))
OLDEST_PYTHON, NEWEST_PYTHON = SUPPORTED['OLDEST_PYTHON'], SUPPORTED['NEWEST_PYTHON']
FIRST_CPP20_TORCH = SUPPORTED['FIRST_CPP20_TORCH']
# Measured: 5.8 GB when done, and on the way there 2.5 GB of downloads, which pip caches as well.
VENV_GB, PIP_CACHE_GB, UPDATE_GB = 9.0, 3.0, 3.0
CPP_PROBE = """
#include <Python.h>
#include <optional>
int main() { if constexpr (true) { return std::optional<int>(0).value(); } }
"""


def python_problem(version: Sequence[int]) -> str | None:
    """Whether this version of Python is too old or too new."""
    if OLDEST_PYTHON <= tuple(version[:2]) <= NEWEST_PYTHON:
        return None
    return (
        f'Python {version[0]}.{version[1]} does not work here, mmcv and its kin need 3.10, 3.11 or '
        '3.12: name one that you have, for example `make PYTHON=python3.11 demo`.'
    )


def torch_problem(version: str | None, place: str) -> str | None:
    """Whether this version of torch, if any, is too new for mmcv to compile against."""
    numbers = re.match(r'(\d+)\.(\d+)', version or '')
    if numbers is None or (int(numbers[1]), int(numbers[2])) < FIRST_CPP20_TORCH:
        return None
    return (
        f'torch {version} ({place}) does not work here, it needs C++20 and mmcv compiles as C++17: '
        'use torch below 2.14, such as the version that requirements/torch.txt came with.'
    )


def system_problem(system: str, sixty_four_bit: bool) -> str | None:
    """Whether the operating system is one that cannot work."""
    if system in ('Linux', 'Darwin') and sixty_four_bit:
        return None
    bits = 64 if sixty_four_bit else 32
    return f'A 64-bit Linux is needed; this is {system} with a {bits}-bit Python.'


def path_problem(root: Path) -> str | None:
    """Whether the folder's name breaks the tools that compile mmcv."""
    if re.search(r'\s', str(root)):
        return f'The path {str(root)!r} contains a blank, which compilers split: move the folder.'
    return None


def venv_problem() -> str | None:
    """Whether this Python cannot make virtual environments."""
    if all(importlib.util.find_spec(module) for module in ('venv', 'ensurepip')):
        return None
    package = f'python{sys.version_info[0]}.{sys.version_info[1]}-venv'
    return f'{sys.executable} has no venv or ensurepip module: install the package {package}.'


def compiler_problem(include: Path | None = None) -> str | None:
    """Whether the C++ compiler or the headers that mmcv's ops need are missing."""
    include = include or Path(sysconfig.get_paths()['include'])
    compiler = shlex.split(os.environ.get('CXX', 'c++'))
    if shutil.which(compiler[0]) is None:
        return f'There is no C++ compiler ({compiler[0]}): install the package g++ or gcc-c++.'
    if not (include / 'Python.h').exists():
        package = f'python{sys.version_info[0]}.{sys.version_info[1]}-dev'
        return f'{include} has no Python.h: install the package {package} or python3-devel.'
    command = [*compiler, '-std=c++17', '-fsyntax-only', f'-I{include}', '-x', 'c++', '-']
    probe = subprocess.run(command, input=CPP_PROBE, capture_output=True, text=True, check=False)
    if probe.returncode != 0:
        error = probe.stderr.strip()
        return f'{compiler[0]} does not compile a few lines of C++17, use gcc 9 or later:\n{error}'
    return None


def disk_problems(needs: Mapping[Path, float]) -> list[str]:
    """One sentence for each disk that has less room than the folders on it need, in GB."""
    parts: dict[int, list[tuple[Path, float]]] = {}
    for folder, gigabytes in needs.items():
        existing = next(path for path in (folder, *folder.parents) if path.exists())
        parts.setdefault(existing.stat().st_dev, []).append((existing, gigabytes))
    problems = []
    for on_one_disk in parts.values():
        needed = sum(gigabytes for _, gigabytes in on_one_disk)
        free = shutil.disk_usage(on_one_disk[0][0]).free / 1e9
        if free < needed:
            names = ' and '.join(str(folder) for folder, _ in on_one_disk)
            problems.append(f'{free:.1f} GB are free for {names}; {needed:.0f} GB are needed.')
    return problems


def pip_cache(environ: Mapping[str, str]) -> Path:
    """The folder where pip keeps what it downloaded."""
    base = environ.get('XDG_CACHE_HOME') or Path.home() / '.cache'
    return Path(environ.get('PIP_CACHE_DIR') or Path(base) / 'pip').expanduser().absolute()


def pinned_version(package: str, requirements: Path = ROOT / 'requirements') -> str | None:
    """The version of a package that a file in requirements/ pins."""
    pin = re.compile(rf'^{re.escape(package)}==([^\s;]+)', re.MULTILINE)
    found = (pin.search(file.read_text(encoding='utf-8')) for file in requirements.glob('*.txt'))
    return next((match[1] for match in found if match), None)


def installed_version(package: str, venv: Path) -> str | None:
    """The version of a package in an environment."""
    infos = venv.glob(f'lib/python3*/site-packages/{package}-*.dist-info')
    return next((info.name[len(package) + 1 : -len('.dist-info')] for info in infos), None)


def all_problems(venv: Path) -> list[str]:
    """Everything that would stop the set-up of this environment later, all at once."""
    torch_here = installed_version('torch', venv)
    needs = {venv: VENV_GB, pip_cache(os.environ): PIP_CACHE_GB}
    problems = [
        python_problem(sys.version_info[:2]),
        system_problem(platform.system(), sys.maxsize > 2**32),
        path_problem(venv),
        venv_problem(),
        compiler_problem(),
        torch_problem(pinned_version('torch'), 'in requirements/torch.txt'),
        torch_problem(torch_here, f'in {venv}'),
        *disk_problems({venv: UPDATE_GB} if torch_here else needs),
    ]
    return [problem for problem in problems if problem]


def remarks() -> list[str]:
    """What may go wrong here but does not have to."""
    found = []
    if (platform.system(), platform.machine()) != ('Linux', 'x86_64'):
        found.append(f'Untested on {platform.system()} {platform.machine()}; Linux x86_64 is.')
    if shutil.which('git') is None:
        found.append('There is no git: runs cannot record which revision they used.')
    return found
