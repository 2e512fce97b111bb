"""The checks of ``python -m mmrsir.doctor``."""

import importlib
import re
import shutil
import subprocess
import sys
import warnings
from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import partial
from importlib.metadata import requires
from importlib.util import find_spec
from typing import Literal, NamedTuple

from ..version import __version__
from . import machine
from .isolation import Isolated, told
from .mending import (
    FAMILY,
    OPENCV,
    PIP,
    TORCH,
    after_failed_import,
    install,
    installed,
    reinstall_opencv,
    upstream,
    use_fork,
)

LIBRARIES = ('mmdet', 'mmseg', 'mmpretrain')
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
    run: Callable[[], Result]  # in a process of its own: it may raise, crash or hang
    failed: Callable[[str], Result] = partial(Result, 'problem', mending='make setup')


def examine(isolated: Isolated) -> Iterator[tuple[str, Result]]:
    """Yields names and results; leaves out what needs something that has a problem."""
    usable: set[str] = set()
    for name, needs, run, failed in CHECKS:
        if usable.issuperset(needs):
            result, error = isolated(run)
            result = failed(error) if error else result
            if result.status != 'problem':
                usable.add(name)
            yield name, result


def check_python() -> Result:
    if problem := machine.python_problem(sys.version_info[:2]):
        return Result('warning', problem, 'make setup')
    return Result('ok', '{}.{}.{}'.format(*sys.version_info))


def check_torch() -> Result:
    if find_spec('torch') is None:
        return Result('problem', 'not installed', TORCH)
    import torch

    if problem := machine.torch_problem(torch.__version__):
        return Result('problem', problem, TORCH)
    return Result('ok', torch.__version__)


def check_torchvision() -> Result:
    import torch

    version = torch.__version__.split('+')[0]
    pair = f'{PIP} install torchvision torch=={version}'
    here = installed('torchvision').get('torchvision')
    if here is None:
        return Result('warning', 'not installed; mmpretrain needs it', pair)
    wanted = re.search(r'^torch\s*\(?==\s*([\d.]+)', '\n'.join(requires('torchvision') or ()), re.M)
    if wanted and wanted[1] != version:
        found = f'{here} was built for torch {wanted[1]}, but this is {version}'
        return Result('problem', found, pair)
    return Result('ok', here)


def check_gpu() -> Result:
    import torch

    driver, usable = nvidia_driver(), torch.cuda.is_available()
    if not driver and not usable:
        return Result('ok', 'no NVIDIA GPU; training runs on the CPU')
    if not usable and torch.version.cuda is None:
        found = f'NVIDIA driver {driver}, but this torch was built without CUDA'
        return Result('warning', found, f'{TORCH} --force-reinstall')
    try:
        torch.zeros(1, device='cuda').add(1).item()
    except Exception as error:
        found = f'NVIDIA driver {driver}: {told(error)}'
        return Result('problem' if usable else 'warning', found, FITTING_TORCH)
    capability = '.'.join(map(str, torch.cuda.get_device_capability()))
    return Result(
        'ok',
        f'{torch.cuda.get_device_name()}, compute capability {capability}, '
        f'driver {driver or "unknown"}, torch for CUDA {torch.version.cuda}',
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


def check_numpy() -> Result:
    here = installed('numpy').get('numpy')
    if here is None:
        return Result('problem', 'not installed', install('numpy'))
    if upstream() and machine.release(here) >= (2, 0):
        found = f'{here}, but the upstream versions of {", ".join(upstream())} need numpy 1'
        return Result('warning', found, f"{PIP} install 'numpy<2'")
    return Result('ok', here)


def check_setuptools() -> Result:
    here = installed('setuptools').get('setuptools', 'not installed')
    if 'mmengine' in upstream() and find_spec('pkg_resources') is None:
        found = f"{here} has no pkg_resources, and upstream's mmengine finds base configs with it"
        return Result('problem', found, f"{PIP} install 'setuptools<82'")
    return Result('ok', here)


def check_opencv() -> Result:
    here = installed(*OPENCV)
    if find_spec('cv2') is None:
        return Result('problem', 'not installed', reinstall_opencv())
    if len(set(here.values())) > 1:
        found = f'{listed(here)} overwrite each other: their versions must be the same'
        return Result('problem', found, reinstall_opencv())
    cv2 = importlib.import_module('cv2')
    return Result('ok', listed(here) or cv2.__version__)


def check_library(name: str) -> Result:
    here = installed(*FAMILY[name])
    if len(here) > 1:
        found = f'{listed(here)} overwrite each other: only one may be installed'
        return Result('problem', found, use_fork(name))
    if find_spec(name) is None:
        return Result(
            'warning' if name in LIBRARIES else 'problem', 'not installed', use_fork(name)
        )
    module = importlib.import_module(name)
    if name in LIBRARIES:  # import all that it registers, as its tools do
        importlib.import_module(f'{name}.utils').register_all_modules()
    return Result('ok', listed(here) or module.__version__)


def check_ops() -> Result:
    import torch
    from mmcv.ops import nms

    def run_on(device: str) -> None:
        box = torch.tensor([[0.0, 0.0, 1.0, 1.0]], device=device)
        nms(box, box[:, 2], 0.5)

    run_on('cpu')
    if not torch.cuda.is_available():
        return Result('ok', 'run on the CPU')
    try:
        run_on('cuda')
    except Exception as error:
        return Result('warning', f'run on the CPU only: {told(error)}', use_fork('mmcv'))
    return Result('ok', 'run on the GPU and the CPU')


def ops_failed(error: str) -> Result:
    needed = [name for name in ('mmdet', 'mmseg') if installed(*FAMILY[name])]
    need = f'{" and ".join(needed)} need them' if needed else 'mmdet and mmseg would need them'
    found = f'do not run: {error}; {need}'
    torch = installed('torch').get('torch', '')
    if cannot_build := machine.compiler_problem(torch) or machine.python_parts_problem():
        found += f'. Do this before you build them: {cannot_build}'
    return Result('problem' if needed else 'warning', found, use_fork('mmcv'))


def check_extras() -> Result:
    missing = [name for name in EXTRAS if find_spec(name) is None]
    if not missing:
        return Result('ok', ', '.join(EXTRAS))
    return Result('warning', f'not installed: {", ".join(missing)}', install(*missing))


def check_mmrsir() -> Result:
    import torch

    import mmrsir

    importlib.reload(mmrsir)  # until now it holds the doctor alone
    from mmrsir.inheritance import find_base
    from mmrsir.models.windows import kernels

    device = torch.device('cuda' if torch.cuda.is_available() else 'cpu')
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter('always')
        image = torch.zeros(1, 3, 64, 64, device=device)
        mmrsir.models.RSIRTransformer('nano').to(device)(image)
        indexed = kernels is not None and kernels.supports(device, image.dtype, 49, 32)
    try:
        find_base('mmrsir::mask_rcnn/rsir_n_shapes.py', 'a config')
        bases = ''
    except FileNotFoundError as error:
        bases = str(error)
    messages = [str(each.message) for each in caught if 'Triton' in str(each.message)]
    return judge_mmrsir(bases, device.type, kernels is not None, indexed, messages)


def judge_mmrsir(
    bases: str, device: str, triton: bool, indexed: bool, messages: Sequence[str]
) -> Result:
    if bases:
        return Result('warning', f"_base_ = 'mmrsir::…' fails: {bases}", f'{PIP} install -e .')
    if not installed('mmrsir'):
        found = 'not installed: other projects can import it only with this folder on PYTHONPATH'
        return Result('warning', found, f'{PIP} install -e .')
    runs = f'{__version__}, runs on {device}'
    if indexed:
        return Result('ok', f'{runs} with its own kernel')
    if device == 'cpu':
        return Result('ok', runs)
    if not triton:
        found = 'runs slower, because Triton is not installed'
        return Result('warning', found, f'{PIP} install triton')
    if messages:
        compiler = f'install the packages gcc and python3.{sys.version_info[1]}-dev'
        return Result('warning', messages[0], compiler)
    return Result('ok', f'{runs}; its own kernel does not support this GPU')


def listed(distributions: Mapping[str, str]) -> str:
    return ' and '.join(f'{name} {version}' for name, version in distributions.items())


def library(name: str, *needs: str) -> Check:
    def failed(error: str) -> Result:
        found = f'{listed(installed(*FAMILY[name]))}: {error}'
        return Result('problem', found, after_failed_import(name, error))

    return Check(name, needs, partial(check_library, name), failed)


CHECKS = (
    Check('Python', (), check_python),
    Check(
        'torch', (), check_torch, partial(Result, 'problem', mending=f'{TORCH} --force-reinstall')
    ),
    Check('torchvision', ('torch',), check_torchvision),
    Check('GPU', ('torch',), check_gpu, partial(Result, 'problem', mending=FITTING_TORCH)),
    Check('numpy', (), check_numpy),
    Check('setuptools', (), check_setuptools),
    Check('OpenCV', ('numpy',), check_opencv, lambda e: Result('problem', e, reinstall_opencv())),
    library('mmengine'),
    library('mmcv', 'torch', 'mmengine', 'OpenCV'),
    Check('mmrsir', ('mmcv',), check_mmrsir),
    Check("mmcv's ops", ('mmcv',), check_ops, ops_failed),
    library('mmdet', "mmcv's ops"),
    library('mmseg', "mmcv's ops"),
    library('mmpretrain', 'mmcv', 'torchvision'),
    Check('extras', (), check_extras),
)
