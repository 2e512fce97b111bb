"""The checks of ``python -m mmrsir.doctor``."""

import re
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator, Mapping
from functools import partial
from importlib.metadata import PackageNotFoundError, requires, version
from importlib.util import find_spec
from typing import Literal, NamedTuple

from . import machine, mending
from .machine import release
from .mending import FAMILY, PIP, Packages
from .probing import Outcome

Probe = Callable[..., Outcome]

LIBRARIES = ('mmdet', 'mmseg', 'mmpretrain')
OPENCV = (
    'opencv-python',
    'opencv-python-headless',
    'opencv-contrib-python',
    'opencv-contrib-python-headless',
)
EXTRAS = (
    'faster_coco_eval',
    'matplotlib',
    'pycocotools',
    'rich',
    'safetensors',
    'skimage',
    'sklearn',
    'tensorboard',
    'timm',
)
FITTING_TORCH = 'install a newer NVIDIA driver, or a torch for this one: https://pytorch.org/get-started/locally'


class Result(NamedTuple):
    # warning: a part of mmrsir does not work, or is slow; problem: the backbone does not work, or a
    # library that is installed for it.
    status: Literal['ok', 'warning', 'problem']
    found: str
    mending: str = ''  # a command where there is one


class Check(NamedTuple):
    name: str
    needs: tuple[str, ...]  # checks without which it has no meaning
    run: Callable[[Probe, Packages], Result]


def examine(probe: Probe) -> Iterator[tuple[str, Result]]:
    """Yields names and results; leaves out what needs something that has a problem."""
    packages = {name: installed(*names) for name, names in FAMILY.items()}
    usable: set[str] = set()
    for name, needs, run in CHECKS:
        if usable.issuperset(needs):
            result = run(probe, packages)
            if result.status != 'problem':
                usable.add(name)
            yield name, result


def installed(*distributions: str) -> dict[str, str]:
    found = {}
    for name in distributions:
        try:
            found[name] = version(name)
        except PackageNotFoundError:
            continue
    return found


def check_python(probe: Probe, packages: Packages) -> Result:
    found = '{}.{}.{}'.format(*sys.version_info)
    problem = machine.python_problem(sys.version_info[:2])
    return Result('warning', problem, 'make setup') if problem else Result('ok', found)


def check_torch(probe: Probe, packages: Packages) -> Result:
    if find_spec('torch') is None:
        return Result('problem', 'not installed', mending.TORCH)
    found, error = probe('torch')
    if error:
        return Result('problem', error, f'{mending.TORCH} --force-reinstall')
    if problem := machine.torch_problem(found['version']):
        return Result('problem', problem, mending.TORCH)
    return Result('ok', found['version'])


def check_torchvision(probe: Probe, packages: Packages) -> Result:
    torch = probe('torch').found['version'].split('+')[0]
    pair = f'{PIP} install torchvision torch=={torch}'
    here = installed('torchvision').get('torchvision')
    if here is None:
        return Result('warning', 'not installed; mmpretrain needs it', pair)
    wanted = re.search(r'^torch\s*\(?==\s*([\d.]+)', '\n'.join(requires('torchvision') or ()), re.M)
    if wanted and wanted[1] != torch:
        return Result(
            'problem', f'{here} was built for torch {wanted[1]}, but this is {torch}', pair
        )
    return Result('ok', here)


def check_gpu(probe: Probe, packages: Packages) -> Result:
    torch = probe('torch').found
    driver = nvidia_driver()
    if not driver and not torch['gpu_usable']:
        return Result('ok', 'no NVIDIA GPU; training runs on the CPU')
    if not torch['gpu_usable'] and torch['cuda'] is None:
        message = f'NVIDIA driver {driver}, but this torch was built without CUDA'
        return Result('warning', message, f'{mending.TORCH} --force-reinstall')
    found, error = probe('gpu')
    if error:
        status: Literal['problem', 'warning'] = 'problem' if torch['gpu_usable'] else 'warning'
        return Result(status, f'NVIDIA driver {driver}: {error}', FITTING_TORCH)
    capability = '.'.join(map(str, found['capability']))
    return Result(
        'ok',
        f'{found["name"]}, compute capability {capability}, driver {driver or "unknown"}, '
        f'torch for CUDA {torch["cuda"]}',
    )


def nvidia_driver() -> str:
    """Its version, or why it does not tell; empty where there is none."""
    if shutil.which('nvidia-smi') is None:
        return ''
    command = ['nvidia-smi', '--query-gpu=driver_version', '--format=csv,noheader']
    try:
        done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=30)
    except subprocess.TimeoutExpired:
        return 'of unknown version (nvidia-smi does not answer)'
    return (done.stdout.splitlines() or [''])[0]


def check_numpy(probe: Probe, packages: Packages) -> Result:
    here = installed('numpy').get('numpy')
    if here is None:
        return Result('problem', 'not installed', mending.install('numpy'))
    upstream = mending.upstream(packages)
    if upstream and release(here) >= (2, 0):
        message = f'{here}, but the upstream versions of {", ".join(upstream)} need numpy 1'
        return Result('warning', message, f"{PIP} install 'numpy<2'")
    return Result('ok', here)


def check_setuptools(probe: Probe, packages: Packages) -> Result:
    here = installed('setuptools').get('setuptools', 'not installed')
    if 'mmengine' in mending.upstream(packages) and find_spec('pkg_resources') is None:
        message = f"{here} has no pkg_resources, and upstream's mmengine finds base configs with it"
        return Result('problem', message, f"{PIP} install 'setuptools<82'")
    return Result('ok', here)


def check_opencv(probe: Probe, packages: Packages) -> Result:
    here = installed(*OPENCV)
    mend = mending.reinstall_opencv(here)
    if find_spec('cv2') is None:
        return Result('problem', 'not installed', mend)
    if len(set(here.values())) > 1:
        return Result(
            'problem', f'{listed(here)} overwrite each other: their versions must be the same', mend
        )
    found, error = probe('module', 'cv2')
    if error:
        return Result('problem', error, mend)
    return Result('ok', listed(here) or found['version'])


def check_library(probe: Probe, packages: Packages, name: str) -> Result:
    here = packages[name]
    mend = mending.use_forks([name], packages)
    if len(here) > 1:
        return Result(
            'problem', f'{listed(here)} overwrite each other: only one may be installed', mend
        )
    if find_spec(name) is None:
        return Result('warning' if name in LIBRARIES else 'problem', 'not installed', mend)
    found, error = probe('library' if name in LIBRARIES else 'module', name)
    if error:
        mend = mending.after_failed_import(name, error, packages)
        return Result('problem', f'{listed(here)}: {error}', mend)
    return Result('ok', listed(here) or found['version'])


def check_ops(probe: Probe, packages: Packages) -> Result:
    torch = probe('torch').found
    mend = mending.use_forks(['mmcv'], packages)
    if error := probe('ops', 'cpu').error:
        needed = [name for name in ('mmdet', 'mmseg') if packages[name]]
        need = f'{" and ".join(needed)} need them' if needed else 'mmdet and mmseg would need them'
        compiler = machine.compiler_problem(torch['version'])
        cannot_build = compiler or machine.python_parts_problem()
        found = f'do not run: {error}; {need}'
        if cannot_build:
            found += f'. Do this before you build them: {cannot_build}'
        return Result('problem' if needed else 'warning', found, mend)
    if torch['gpu_usable'] and (error := probe('ops', 'cuda').error):
        return Result('warning', f'run on the CPU only: {error}', mend)
    return Result('ok', 'run on the GPU and the CPU' if torch['gpu_usable'] else 'run on the CPU')


def check_extras(probe: Probe, packages: Packages) -> Result:
    missing = [name for name in EXTRAS if find_spec(name) is None]
    if not missing:
        return Result('ok', ', '.join(EXTRAS))
    return Result('warning', f'not installed: {", ".join(missing)}', mending.install(*missing))


def check_mmrsir(probe: Probe, packages: Packages) -> Result:
    found, error = probe('mmrsir')
    if error:
        return Result('problem', error, 'make setup')
    if found['bases']:
        return Result(
            'warning', f"_base_ = 'mmrsir::…' fails: {found['bases']}", f'{PIP} install -e .'
        )
    if not installed('mmrsir'):
        message = 'not installed: other projects can import it only with this folder on PYTHONPATH'
        return Result('warning', message, f'{PIP} install -e .')
    if found['device'] == 'cpu' or found['indexed']:
        with_kernel = ' with its own kernel' if found['indexed'] else ''
        return Result('ok', f'{found["version"]}, runs on {found["device"]}{with_kernel}')
    if not found['triton']:
        return Result(
            'warning', 'runs slower, because Triton is not installed', f'{PIP} install triton'
        )
    if found['warnings']:
        compiler = f'install the packages gcc and python3.{sys.version_info[1]}-dev'
        return Result('warning', found['warnings'][0], compiler)
    return Result(
        'ok',
        f'{found["version"]}, runs on {found["device"]}; its own kernel does not support this GPU',
    )


def listed(distributions: Mapping[str, str]) -> str:
    return ' and '.join(f'{name} {version}' for name, version in distributions.items())


CHECKS = (
    Check('Python', (), check_python),
    Check('torch', (), check_torch),
    Check('torchvision', ('torch',), check_torchvision),
    Check('GPU', ('torch',), check_gpu),
    Check('numpy', (), check_numpy),
    Check('setuptools', (), check_setuptools),
    Check('OpenCV', ('numpy',), check_opencv),
    Check('mmengine', (), partial(check_library, name='mmengine')),
    Check('mmcv', ('torch', 'mmengine', 'OpenCV'), partial(check_library, name='mmcv')),
    Check('mmrsir', ('mmcv',), check_mmrsir),
    Check("mmcv's ops", ('mmcv',), check_ops),
    Check('mmdet', ("mmcv's ops",), partial(check_library, name='mmdet')),
    Check('mmseg', ("mmcv's ops",), partial(check_library, name='mmseg')),
    Check('mmpretrain', ('mmcv', 'torchvision'), partial(check_library, name='mmpretrain')),
    Check('extras', (), check_extras),
)
