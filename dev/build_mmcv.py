"""Installs mmcv with its compiled ops into the environment that runs this file.

The ops are compiled against one torch, so `pip install onedl-mmcv` is not enough. A finished wheel
is kept in the cache (see get_python.py) by torch, Python, mmcv and CUDA version. On a machine with
a GPU the wheels that the fork publishes are tried first (MMCV_FIND_LINKS names another page; empty,
none). Otherwise the ops are compiled. Nearly all of the time goes into parsing torch's C++
interface, 78 times; a precompiled header, which gcc can use, makes that minutes instead of half an
hour on two cores.
"""

from __future__ import annotations

import os
import re
import shlex
import shutil
import subprocess
import sys
import sysconfig
import tempfile
import zipfile
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path

from get_python import cache
from setup_env import ROOT, machine

BYTES_PER_JOB = 1.5e9
# The fork's wheels, an index for each pair of CUDA and torch: cu130-torch2110.
FORK_INDEX = 'https://mmwheels.onedl.ai/{cuda}-torch{torch}/simple/onedl-mmcv/'
# gcc uses a precompiled header only where all flags equal those of the later compile.
COMPILE_FLAGS = ('-DNDEBUG', '-g0', '-O2', '-w')
EXTENSION_FLAGS = ('-fPIC', '-DTORCH_API_INCLUDE_EXTENSION_H', '-DTORCH_EXTENSION_NAME=_ext')
LOAD_OPS = """
import importlib.util, sys, torch
spec = importlib.util.spec_from_file_location('_ext', sys.argv[1])
spec.loader.exec_module(importlib.util.module_from_spec(spec))
"""


def note(message: str) -> None:
    """Prints a line that dev/setup_env.py shows to the user, besides logging it."""
    print('note:', message, flush=True)


def pip(*arguments: str, env: Mapping[str, str] | None = None) -> None:
    command = [sys.executable, '-m', 'pip', *arguments]
    print('+', shlex.join(command), flush=True)
    subprocess.run(command, check=True, env=env)


def output_of(*command: str) -> str:
    return subprocess.run(command, capture_output=True, text=True, check=True).stdout


def mmcv_requirement() -> str:
    """The one requirement of requirements/mmcv.txt, `onedl-mmcv==<version>`."""
    lines = (ROOT / 'requirements/mmcv.txt').read_text(encoding='utf-8').splitlines()
    return next(line.strip() for line in lines if line.startswith('onedl-mmcv=='))


def cache_folder(torch_version: str, cuda: str | None, mmcv_version: str) -> Path:
    """The folder that holds the wheel for these versions and the running Python."""
    python = f'cp{sys.version_info[0]}{sys.version_info[1]}'
    system = re.sub(r'\W', '_', sysconfig.get_platform())
    name = f'mmcv{mmcv_version}-torch{torch_version}-{python}-{system}-{cuda or "cpu"}'
    return cache() / 'wheels' / name


def available_memory(cgroup: Path = Path('/sys/fs/cgroup')) -> float:
    """Bytes that new processes can use, in this container."""
    import psutil  # type: ignore[import-untyped]

    free = float(psutil.virtual_memory().available)
    with suppress(OSError, ValueError):  # there is no cgroup, or its limit is 'max'
        limit, used = (int((cgroup / f'memory.{name}').read_text()) for name in ('max', 'current'))
        free = min(free, limit - used)
    return free


def compile_jobs() -> int:
    """How many files to compile at once: one a core, fewer where memory is short."""
    affinity = getattr(os, 'sched_getaffinity', None)
    cores = len(affinity(0)) if affinity else os.cpu_count() or 1
    return max(1, int(min(cores, available_memory() / BYTES_PER_JOB)))


def has_working_ops(wheel: Path) -> bool:
    """Whether the wheel holds compiled ops that load with the torch of this environment."""
    with tempfile.TemporaryDirectory() as folder, zipfile.ZipFile(wheel) as archive:
        ops = [name for name in archive.namelist() if re.match(r'mmcv/_ext.*\.so$', name)]
        if not ops:
            return False
        load = [sys.executable, '-c', LOAD_OPS, archive.extract(ops[0], folder)]
        return subprocess.run(load, check=False).returncode == 0


def cached_wheel(folder: Path) -> Path | None:
    """The wheel in a folder of the cache, if it is there and its ops load."""
    wheel = next(filter(has_working_ops, folder.glob('*.whl')), None)
    if wheel:
        note(f'mmcv taken from the cache: {wheel}')
    return wheel


def store(wheel: Path, folder: Path) -> Path:
    """Puts a wheel into the cache, under a temporary name until it is complete."""
    folder.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=folder) as partial:
        copy = shutil.copy(wheel, partial)
        os.replace(copy, folder / wheel.name)
    return folder / wheel.name


def download_wheel(page: str, requirement: str, folder: Path) -> Path | None:
    """Fetches the requirement from a page of prebuilt wheels, or None if no wheel there fits."""
    source = ['--only-binary', ':all:', '--no-index', '--find-links', page]
    patience = ['--retries', '1', '--timeout', '20']
    try:
        pip('download', '--no-deps', *source, *patience, '--dest', str(folder), requirement)
    except subprocess.CalledProcessError:
        return None
    wheel = next(folder.glob('onedl_mmcv-*.whl'))
    return wheel if has_working_ops(wheel) else None


def unpack_source(requirement: str, folder: Path, standard: str) -> Path:
    """Fetches mmcv's source, which asks for C++17, and makes it ask for what torch needs."""
    source = ['--no-deps', '--no-build-isolation', '--no-binary', 'onedl-mmcv']
    pip('download', *source, '--dest', str(folder), requirement)
    shutil.unpack_archive(next(folder.glob('onedl_mmcv-*.tar.gz')), folder)
    script = next(folder.glob('onedl_mmcv-*/setup.py'))
    text = script.read_text(encoding='utf-8').replace('-std=c++17', f'-std={standard}')
    script.write_text(text, encoding='utf-8')
    return script.parent


def precompile_header(folder: Path, standard: str) -> list[str]:
    """Precompiles torch's C++ types.

    Returns:
        The compiler flags that make use of it; none where the compiler cannot.
    """
    from torch.utils.cpp_extension import include_paths

    compiler = machine.compiler()
    if 'Free Software Foundation' not in output_of(*compiler, '--version'):
        note(f'{compiler[0]} is not gcc, so compiling mmcv takes about 30 minutes on 2 cores.')
        return []
    header = folder / 'torch_types.h'
    header.write_text('#include <torch/types.h>\n', encoding='utf-8')
    includes = [*include_paths(), sysconfig.get_paths()['include']]
    # Flags such as -pthread that Python's own C compiler carries reach the compile as well.
    inherited = shlex.split(os.environ.get('CC') or sysconfig.get_config_var('CC') or 'cc')[1:]
    flags = [*inherited, *COMPILE_FLAGS, *EXTENSION_FLAGS, f'-std={standard}']
    flags += [f'-I{path}' for path in includes]
    print("precompiling torch's C++ header, half a minute", flush=True)
    output_of(*compiler, *flags, '-x', 'c++-header', str(header), '-o', f'{header}.gch')

    probe = folder / 'probe.cpp'
    probe.write_text('at::Tensor probe(at::Tensor x) { return x; }\n', encoding='utf-8')
    trace = [*compiler, *flags, '-include', str(header), '-H', '-c', str(probe), '-o', os.devnull]
    opened = subprocess.run(trace, capture_output=True, text=True, check=True).stderr
    if f'! {header}.gch' not in opened:
        note('The compiler ignored its precompiled header: mmcv takes about 30 minutes on 2 cores.')
        return []
    return ['-include', str(header)]


def fitting_nvcc() -> bool:
    """Whether there is an nvcc of the CUDA release (its first number) that torch was built with."""
    import torch
    from torch.utils.cpp_extension import CUDA_HOME

    if CUDA_HOME is None or torch.version.cuda is None or not Path(CUDA_HOME, 'bin/nvcc').exists():
        return False
    release = re.search(r'release (\d+)', output_of(f'{CUDA_HOME}/bin/nvcc', '--version'))
    return release is not None and release[1] == torch.version.cuda.split('.')[0]


def compile_wheel(requirement: str, with_cuda: bool, folder: Path) -> Path:
    """Compiles mmcv's ops for the torch of this environment."""
    import torch

    standard = machine.cpp_standard(torch.__version__)
    flags = ('CFLAGS', 'CXXFLAGS', 'CPPFLAGS')
    env = {name: value for name, value in os.environ.items() if name not in flags}
    env.setdefault('MAX_JOBS', str(compile_jobs()))
    env['FORCE_CUDA'] = str(int(with_cuda))
    header = []
    if not with_cuda:
        env['CUDA_VISIBLE_DEVICES'] = ''  # mmcv would compile for the GPU wherever torch sees one
        header = precompile_header(folder, standard)
    env['CFLAGS'] = shlex.join([*COMPILE_FLAGS, *header])
    source = unpack_source(requirement, folder, standard)
    build = ['--no-deps', '--no-build-isolation', '--wheel-dir', str(folder)]
    pip('wheel', '-v', *build, str(source), env=env)
    wheel = next(folder.glob('onedl_mmcv-*.whl'))
    if not has_working_ops(wheel):
        raise RuntimeError(f'{requirement} was compiled, but its ops do not load (see above)')
    return wheel


def find_or_make_wheel(requirement: str) -> Path:
    """The wheel of mmcv for this environment: from the cache, from the fork, or compiled here."""
    import torch

    version, torch_version = requirement.split('==')[1], torch.__version__.split('+')[0]
    with_cuda = torch.cuda.is_available() or os.environ.get('FORCE_CUDA') == '1'
    cuda = f'cu{torch.version.cuda}'.replace('.', '') if with_cuda else None
    folder = cache_folder(torch_version, cuda, version)
    if cached := cached_wheel(folder):
        return cached
    page = os.environ.get('MMCV_FIND_LINKS')
    if page is None and with_cuda:
        page = FORK_INDEX.format(cuda=cuda, torch=torch_version.replace('.', ''))
    with tempfile.TemporaryDirectory() as downloads, tempfile.TemporaryDirectory() as built:
        if page and (prebuilt := download_wheel(page, requirement, Path(downloads))):
            note(f'mmcv downloaded, prebuilt, from {page}')
            return store(prebuilt, folder)
        if with_cuda and not fitting_nvcc():
            note(
                'This machine has a GPU, but there is neither a prebuilt mmcv for it nor an nvcc '
                f"of CUDA {torch.version.cuda}: mmcv's ops (NMS, RoIAlign) will work on the CPU "
                'only. To change that, install that CUDA toolkit and set up again without .venv.'
            )
            with_cuda, folder = False, cache_folder(torch_version, None, version)
            if cached := cached_wheel(folder):
                return cached
        return store(compile_wheel(requirement, with_cuda, Path(built)), folder)


if __name__ == '__main__':
    # Over whatever mmcv is there: that one may belong to another torch.
    wheel = find_or_make_wheel(mmcv_requirement())
    pip('install', '--no-deps', '--force-reinstall', str(wheel))
