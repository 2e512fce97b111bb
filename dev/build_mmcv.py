"""Installs mmcv with its compiled ops into the environment that runs this file.

The ops are compiled against one torch, so `pip install onedl-mmcv` is not enough. A finished wheel
is kept in the cache (see run_uv.py) by torch, Python, mmcv and CUDA version. For a GPU a wheel of
the page that MMCV_FIND_LINKS names is tried first. Compiling spends nearly all of its time on
torch's C++ interface, which is parsed 78 times; a precompiled header, which gcc can use, makes
minutes of half an hour on two cores.
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
from contextlib import suppress
from pathlib import Path

from run_uv import cache
from setup_env import ROOT, machine

PINS = (ROOT / 'requirements/mmcv.txt').read_text(encoding='utf-8').splitlines()
MMCV = next(line for line in PINS if line.startswith('onedl-mmcv=='))
BYTES_PER_JOB = 1.5e9
# gcc uses a precompiled header only where all flags equal those of the later compile.
COMPILE_FLAGS = ('-DNDEBUG', '-g0', '-O2', '-w')
EXTENSION_FLAGS = ('-fPIC', '-DTORCH_API_INCLUDE_EXTENSION_H', '-DTORCH_EXTENSION_NAME=_ext')
LOAD_OPS = 'import ctypes, sys, torch; ctypes.CDLL(sys.argv[1])'


def note(message: str) -> None:
    """Prints a line that dev/setup_env.py shows to the user, besides logging it."""
    print('note:', message, flush=True)


def pip(task: str, *arguments: str) -> None:
    plain = ['--no-deps', '--no-build-isolation']
    command = [sys.executable, '-m', 'pip', task, *plain, *arguments]
    print('+', shlex.join(command), flush=True)
    subprocess.run(command, check=True)


def cache_folder(torch_version: str, cuda: str) -> Path:
    """The folder that holds the wheel for these versions and the running Python."""
    python = f'cp{sys.version_info[0]}{sys.version_info[1]}'
    system = re.sub(r'\W', '_', sysconfig.get_platform())
    mmcv = MMCV.partition('==')[2]
    return cache() / 'wheels' / f'mmcv{mmcv}-torch{torch_version}-{python}-{system}-{cuda}'


def compile_jobs(cgroup: Path = Path('/sys/fs/cgroup')) -> int:
    """How many files to compile at once: one a core, fewer where memory is short."""
    import psutil  # type: ignore[import-untyped]

    free = psutil.virtual_memory().available
    with suppress(OSError, ValueError):  # a container's, where it has a limit
        limit, used = (int((cgroup / f'memory.{name}').read_text()) for name in ('max', 'current'))
        free = min(free, limit - used)
    cores = len(os.sched_getaffinity(0)) if sys.platform == 'linux' else os.cpu_count() or 1
    return max(1, int(min(cores, free / BYTES_PER_JOB)))


def working_wheel(folder: Path) -> Path | None:
    """The wheel in a folder, if it is there and its ops load with the torch of this environment."""
    for wheel in folder.glob('*.whl'):
        with tempfile.TemporaryDirectory() as unpacked, zipfile.ZipFile(wheel) as archive:
            for name in archive.namelist():
                if re.match(r'mmcv/_ext.*\.so$', name):
                    load = [sys.executable, '-c', LOAD_OPS, archive.extract(name, unpacked)]
                    if subprocess.run(load, check=False).returncode == 0:
                        return wheel
    return None


def precompile_header(folder: Path, standard: str) -> list[str]:
    """Precompiles torch's C++ types; returns the compiler flags that make use of it."""
    from torch.utils.cpp_extension import include_paths

    compiler = machine.compiler()
    version = subprocess.run([*compiler, '--version'], capture_output=True, text=True, check=True)
    if 'Free Software Foundation' not in version.stdout:
        note(f'{compiler[0]} is not gcc, so compiling mmcv takes about 30 minutes on 2 cores.')
        return []
    header = folder / 'torch_types.h'
    header.write_text('#include <torch/types.h>\n', encoding='utf-8')
    # Flags such as -pthread that Python's own C compiler carries reach the compile as well.
    inherited = shlex.split(os.environ.get('CC') or sysconfig.get_config_var('CC') or 'cc')[1:]
    includes = [f'-I{path}' for path in (*include_paths(), sysconfig.get_paths()['include'])]
    flags = [*inherited, *COMPILE_FLAGS, *EXTENSION_FLAGS, f'-std={standard}', *includes]
    print("precompiling torch's C++ header, half a minute", flush=True)
    precompile = [*compiler, *flags, '-x', 'c++-header', str(header), '-o', f'{header}.gch']
    subprocess.run(precompile, check=True)
    return ['-include', str(header)]


def unpack_source(folder: Path, standard: str) -> Path:
    """Unpacks mmcv's source, which asks for C++17, and makes it ask for what torch needs."""
    shutil.unpack_archive(next(folder.glob('onedl_mmcv-*.tar.gz')), folder)
    script = next(folder.glob('onedl_mmcv-*/setup.py'))
    text = script.read_text(encoding='utf-8').replace('-std=c++17', f'-std={standard}')
    script.write_text(text, encoding='utf-8')
    return script.parent


def compile_wheel(folder: Path, with_cuda: bool) -> None:
    """Compiles mmcv's ops for the torch of this environment."""
    import torch

    standard = machine.cpp_standard(torch.__version__)
    header = [] if with_cuda else precompile_header(folder, standard)
    for name in ('CXXFLAGS', 'CPPFLAGS'):
        os.environ.pop(name, None)
    os.environ['CFLAGS'] = shlex.join([*COMPILE_FLAGS, *header])
    os.environ['FORCE_CUDA'] = str(int(with_cuda))
    os.environ.setdefault('MAX_JOBS', str(compile_jobs()))
    if not with_cuda:  # mmcv compiles for the GPU wherever torch sees one
        os.environ['CUDA_VISIBLE_DEVICES'] = ''
    pip('download', '--no-binary', 'onedl-mmcv', '--dest', str(folder), MMCV)
    source = unpack_source(folder, standard)
    pip('wheel', '-v', '--wheel-dir', str(folder), str(source))


def find_or_make_wheel(with_cuda: bool) -> Path:
    """The wheel of mmcv for this environment: from the cache, from the fork, or compiled here."""
    import torch

    version = torch.__version__.split('+')[0]
    cuda = f'cu{torch.version.cuda}'.replace('.', '') if with_cuda else 'cpu'
    cached = cache_folder(version, cuda)
    if wheel := working_wheel(cached):
        note(f'mmcv taken from the cache: {wheel}')
        return wheel
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        if with_cuda and (page := os.environ.get('MMCV_FIND_LINKS')):
            source = ['--only-binary', ':all:', '--no-index', '--find-links', page]
            with suppress(subprocess.CalledProcessError):
                pip('download', *source, '--retries', '1', '--dest', name, MMCV)
        if wheel := working_wheel(folder):
            note(f'mmcv downloaded, prebuilt: {wheel.name}')
        else:
            compile_wheel(folder, with_cuda)
            wheel = working_wheel(folder)
        if wheel is None:
            raise RuntimeError(f'{MMCV} was compiled, but its ops do not load (see above)')
        return store(wheel, cached)


def store(wheel: Path, folder: Path) -> Path:
    """Puts a wheel into the cache, under another name until it is complete."""
    folder.mkdir(parents=True, exist_ok=True)
    return Path(shutil.copy(wheel, folder / 'partial')).replace(folder / wheel.name)


def main() -> None:
    import torch

    with_cuda = torch.cuda.is_available() or os.environ.get('FORCE_CUDA') == '1'
    try:
        wheel = find_or_make_wheel(with_cuda)
    except subprocess.CalledProcessError:
        if not with_cuda:
            raise
        note(
            'This machine has a GPU, but there is no prebuilt mmcv for it, and compiling failed, '
            f"which takes nvcc of CUDA {torch.version.cuda}: mmcv's ops (NMS, RoIAlign) will work "
            'on the CPU only. To change that, install nvcc, or set MMCV_FIND_LINKS to the page of '
            "onedl-mmcv's wheels for this torch and CUDA, and set up again without .venv."
        )
        wheel = find_or_make_wheel(with_cuda=False)
    # Over whatever mmcv is there: that one may belong to another torch.
    pip('install', '--force-reinstall', str(wheel))


if __name__ == '__main__':
    main()
