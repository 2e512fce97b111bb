"""Installs mmcv with its compiled ops into the environment that runs this file.

The ops are compiled against one torch, so `pip install onedl-mmcv` is not enough. A finished wheel
is kept in a cache by torch, Python, mmcv and CUDA version (MMRSIR_CACHE, by default
~/.cache/mmrsir) and is found there the next time. On a machine with a GPU the wheels that the fork
publishes are tried first (MMCV_FIND_LINKS names another page; empty, none). Otherwise the ops are
compiled. Nearly all of the time goes into parsing torch's C++ interface, 78 times; a precompiled
header, which gcc can use, makes that minutes instead of half an hour on two cores.
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
from collections.abc import Mapping, Sequence
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
BYTES_PER_JOB = 1.5e9
# The fork's wheels, an index for each pair of CUDA and torch: cu130-torch2110.
FORK_INDEX = 'https://mmwheels.onedl.ai/{cuda}-torch{torch}/simple'
# gcc uses a precompiled header only where all flags equal those of the later compile.
COMPILE_FLAGS = ('-DNDEBUG', '-g0', '-O2', '-w')
EXTENSION_FLAGS = (
    '-fPIC',
    '-std=c++17',
    '-DTORCH_API_INCLUDE_EXTENSION_H',
    '-DTORCH_EXTENSION_NAME=_ext',
)
LOAD_OPS = """
import importlib.util, sys, torch
spec = importlib.util.spec_from_file_location('_ext', sys.argv[1])
spec.loader.exec_module(importlib.util.module_from_spec(spec))
"""


def note(message: str) -> None:
    """Prints a line that dev/setup_env.py shows to the user, besides logging it."""
    print('note:', message, flush=True)


def run(command: Sequence[str], env: Mapping[str, str] | None = None) -> None:
    """Runs a command, its output unchanged; raises CalledProcessError when it fails."""
    print('+', shlex.join(command), flush=True)
    subprocess.run(command, check=True, env=env)


def mmcv_requirement(requirements: Path = ROOT / 'requirements') -> str:
    """The one requirement of requirements/mmcv.txt, `onedl-mmcv==<version>`."""
    lines = (requirements / 'mmcv.txt').read_text(encoding='utf-8').splitlines()
    return next(line.strip() for line in lines if line.startswith('onedl-mmcv=='))


def cache_folder(
    torch_version: str, cuda: str | None, mmcv_version: str, environ: Mapping[str, str]
) -> Path:
    """The folder that holds the wheel for these versions and the running Python."""
    base = environ.get('XDG_CACHE_HOME') or Path.home() / '.cache'
    cache = Path(environ.get('MMRSIR_CACHE') or Path(base) / 'mmrsir').expanduser()
    python = f'cp{sys.version_info[0]}{sys.version_info[1]}'
    platform = re.sub(r'\W', '_', sysconfig.get_platform())
    variant = cuda or 'cpu'
    return (
        cache / 'wheels' / f'mmcv{mmcv_version}-torch{torch_version}-{python}-{platform}-{variant}'
    )


def compile_jobs(cores: int, available_bytes: float) -> int:
    """How many files to compile at once: one a core, fewer where memory is short."""
    return max(1, int(min(cores, available_bytes / BYTES_PER_JOB)))


def available_memory(proc: Path = Path('/proc'), cgroup: Path = Path('/sys/fs/cgroup')) -> float:
    """Bytes that new processes can use, in this container; infinite where no file tells."""
    limits = [float('inf')]
    meminfo = proc / 'meminfo'
    if meminfo.exists():
        found = re.findall(r'^MemAvailable:\s+(\d+) kB', meminfo.read_text(), re.MULTILINE)
        limits += [int(kibibytes) * 1024 for kibibytes in found]
    if (cgroup / 'memory.max').exists() and (cgroup / 'memory.current').exists():
        limit = (cgroup / 'memory.max').read_text().strip()
        if limit != 'max':
            limits.append(int(limit) - int((cgroup / 'memory.current').read_text()))
    return min(limits)


def has_working_ops(wheel: Path) -> bool:
    """Whether the wheel holds compiled ops that load with the torch of this environment."""
    with tempfile.TemporaryDirectory() as folder, zipfile.ZipFile(wheel) as archive:
        ops = [name for name in archive.namelist() if re.match(r'mmcv/_ext.*\.so$', name)]
        if not ops:
            return False
        library = archive.extract(ops[0], folder)
        load = [sys.executable, '-c', LOAD_OPS, library]
        return subprocess.run(load, check=False).returncode == 0


def cached_wheel(folder: Path) -> Path | None:
    """The wheel in a folder of the cache, if it is there and its ops load."""
    for wheel in folder.glob('*.whl'):
        if has_working_ops(wheel):
            note(f'mmcv taken from the cache: {wheel}')
            return wheel
    return None


def store(wheel: Path, folder: Path) -> Path:
    """Puts a wheel into the cache, under a temporary name until it is complete."""
    folder.mkdir(parents=True, exist_ok=True)
    with tempfile.NamedTemporaryFile(dir=folder, prefix='.partial-', delete=False) as partial:
        pass
    try:
        shutil.copyfile(wheel, partial.name)
        os.replace(partial.name, folder / wheel.name)
    except BaseException:
        Path(partial.name).unlink()
        raise
    return folder / wheel.name


def download_wheel(page: str, requirement: str, folder: Path) -> Path | None:
    """Fetches the requirement from a page of prebuilt wheels, or None if no wheel there fits."""
    pip = [
        sys.executable,
        '-m',
        'pip',
        'download',
        '--no-deps',
        '--only-binary',
        ':all:',
        '--no-index',
    ]
    patience = ['--retries', '1', '--timeout', '20']
    try:
        run([*pip, *patience, '--find-links', page, '--dest', str(folder), requirement])
    except subprocess.CalledProcessError:
        return None
    wheel = next(folder.glob('onedl_mmcv-*.whl'))
    if has_working_ops(wheel):
        return wheel
    wheel.unlink()
    return None


def precompile_header(folder: Path) -> list[str]:
    """Precompiles torch's C++ types.

    Returns:
        The compiler flags that make use of it; none where the compiler cannot.
    """
    import torch.utils.cpp_extension

    compiler = shlex.split(os.environ.get('CXX', 'c++'))
    banner = subprocess.run(
        [*compiler, '--version'], capture_output=True, text=True, check=True
    ).stdout
    if 'Free Software Foundation' not in banner:
        note(f'{compiler[0]} is not gcc, so compiling mmcv takes about 30 minutes on 2 cores.')
        return []
    header = folder / 'torch_types.h'
    header.write_text('#include <torch/types.h>\n', encoding='utf-8')
    includes = [*torch.utils.cpp_extension.include_paths(), sysconfig.get_paths()['include']]
    # Flags such as -pthread that Python's own C compiler carries reach the compile as well.
    inherited = shlex.split(os.environ.get('CC') or sysconfig.get_config_var('CC') or 'cc')[1:]
    flags = [*inherited, *COMPILE_FLAGS, *EXTENSION_FLAGS, *(f'-I{path}' for path in includes)]
    print("precompiling torch's C++ header, half a minute", flush=True)
    subprocess.run(
        [*compiler, *flags, '-x', 'c++-header', str(header), '-o', f'{header}.gch'], check=True
    )

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
    import torch.utils.cpp_extension

    home = torch.utils.cpp_extension.CUDA_HOME
    if home is None or torch.version.cuda is None or not Path(home, 'bin', 'nvcc').exists():
        return False
    banner = subprocess.run(
        [f'{home}/bin/nvcc', '--version'], capture_output=True, text=True, check=True
    ).stdout
    release = re.search(r'release (\d+)', banner)
    return release is not None and release[1] == torch.version.cuda.split('.')[0]


def compile_wheel(requirement: str, with_cuda: bool, folder: Path) -> Path:
    """Compiles mmcv's ops for the torch of this environment."""
    env = {
        name: value
        for name, value in os.environ.items()
        if name not in ('CFLAGS', 'CXXFLAGS', 'CPPFLAGS')
    }
    cores = (
        len(os.sched_getaffinity(0)) if hasattr(os, 'sched_getaffinity') else os.cpu_count() or 1
    )
    env.setdefault('MAX_JOBS', str(compile_jobs(cores, available_memory())))
    if with_cuda:
        env['FORCE_CUDA'] = '1'
        header: list[str] = []
    else:
        env['CUDA_VISIBLE_DEVICES'] = ''  # mmcv would compile for the GPU wherever torch sees one
        env['FORCE_CUDA'] = '0'
        header = precompile_header(folder)
    env['CFLAGS'] = shlex.join([*COMPILE_FLAGS, *header])
    # pip's own cache tells wheels apart by mmcv's version, not by torch's: it must not be used.
    pip = [
        sys.executable,
        '-m',
        'pip',
        'wheel',
        '-v',
        '--no-deps',
        '--no-build-isolation',
        '--no-cache-dir',
    ]
    run([*pip, '--no-binary', 'onedl-mmcv', '--wheel-dir', str(folder), requirement], env=env)
    wheel = next(folder.glob('onedl_mmcv-*.whl'))
    if not has_working_ops(wheel):
        raise RuntimeError(
            f'{requirement} was compiled, but its ops do not load; the lines above say why'
        )
    return wheel


def find_or_make_wheel(requirement: str) -> Path:
    """The wheel of mmcv for this environment: from the cache, from the fork, or compiled here."""
    import torch

    version = requirement.split('==')[1]
    torch_version = torch.__version__.split('+')[0]
    with_cuda = torch.cuda.is_available() or os.environ.get('FORCE_CUDA') == '1'
    cuda = f'cu{torch.version.cuda}'.replace('.', '') if with_cuda else None
    folder = cache_folder(torch_version, cuda, version, os.environ)
    if cached := cached_wheel(folder):
        return cached
    page = os.environ.get('MMCV_FIND_LINKS')
    if page is None and with_cuda:
        page = FORK_INDEX.format(cuda=cuda, torch=torch_version.replace('.', '')) + '/onedl-mmcv/'
    with tempfile.TemporaryDirectory() as temporary:
        if page and (prebuilt := download_wheel(page, requirement, Path(temporary))):
            note(f'mmcv downloaded, prebuilt, from {page}')
            return store(prebuilt, folder)
        if with_cuda and not fitting_nvcc():
            note(
                'This machine has a GPU, but there is neither a prebuilt mmcv for it nor an nvcc '
                f"of CUDA {torch.version.cuda}: mmcv's ops (NMS, RoIAlign) will work on the CPU "
                'only. To change that, install that CUDA toolkit and set up again without .venv.'
            )
            with_cuda = False
            folder = cache_folder(torch_version, None, version, os.environ)
            if cached := cached_wheel(folder):
                return cached
        return store(compile_wheel(requirement, with_cuda, Path(temporary)), folder)


def main() -> None:
    """Installs the wheel, over whatever mmcv is there: that one may belong to another torch."""
    wheel = find_or_make_wheel(mmcv_requirement())
    run([sys.executable, '-m', 'pip', 'install', '--no-deps', '--force-reinstall', str(wheel)])


if __name__ == '__main__':
    main()
