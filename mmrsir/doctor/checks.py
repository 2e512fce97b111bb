"""The checks of ``python -m mmrsir.doctor``, and what mends what they find."""

import importlib
import re
import shlex
import shutil
import subprocess
import sys
import warnings
from collections.abc import Callable, Mapping
from contextlib import suppress
from functools import partial
from importlib.metadata import PackageNotFoundError, requires, version
from importlib.util import find_spec
from typing import Literal, NamedTuple

from ..version import __version__
from . import machine

OLDEST_TORCH = (2, 7)
LIBRARIES = ('mmdet', 'mmseg', 'mmpretrain')
EXTRAS = 'faster_coco_eval matplotlib pycocotools rich safetensors skimage sklearn tensorboard timm'
FITTING_TORCH = 'install a newer NVIDIA driver, or a torch for this one: https://pytorch.org/get-started/locally'
# Import name: the maintained fork's distribution, then upstream's.
FAMILY = {
    'mmengine': ('onedl-mmengine', 'mmengine', 'mmengine-lite'),
    'mmcv': ('onedl-mmcv', 'mmcv', 'mmcv-lite', 'mmcv-full'),
    'mmdet': ('onedl-mmdetection', 'mmdet'),
    'mmseg': ('onedl-mmsegmentation', 'mmsegmentation'),
    'mmpretrain': ('onedl-mmpretrain', 'mmpretrain'),
}
# Distributions that write the same files.
OPENCV = [f'opencv-{kind}python{head}' for kind in ('', 'contrib-') for head in ('', '-headless')]
# Where the import name is another one.
DISTRIBUTIONS = {'PIL': 'pillow', 'skimage': 'scikit-image', 'sklearn': 'scikit-learn'}

PYTHON = 'python' if shutil.which('python') == sys.executable else shlex.quote(sys.executable)
PIP = f'{PYTHON} -m pip'
PINNED = f'{PIP} install -c requirements/constraints.txt'
TORCH = f'{PIP} install -r requirements/torch.txt'
MMRSIR = f'{PIP} install -e .'
MMCV = f'{PIP} install -r requirements/build.txt && {PYTHON} dev/build_mmcv.py'


class Result(NamedTuple):
    # warning: a part of mmrsir does not work, or is slow; problem: the backbone does not work, or a
    # library that is installed for it.
    status: Literal['ok', 'warning', 'problem']
    found: str
    mending: str = ''  # a command where there is one


ok, warning, problem = partial(Result, 'ok'), partial(Result, 'warning'), partial(Result, 'problem')


class Check(NamedTuple):
    name: str
    run: Callable[[], Result]  # may raise, crash or hang
    needs: tuple[str, ...] = ()  # checks without which it has no meaning
    failed: Callable[[str], Result] = partial(problem, mending='make setup')


def check_python() -> Result:
    if unsupported := machine.python_problem():
        return warning(unsupported, 'make setup')
    return ok('{}.{}.{}'.format(*sys.version_info))


def check_torch() -> Result:
    if find_spec('torch') is None:
        return problem('not installed', TORCH)
    import torch

    if machine.release(torch.__version__) < OLDEST_TORCH:
        needed = '.'.join(map(str, OLDEST_TORCH))
        return problem(f'torch {torch.__version__} is too old; {needed} or newer is needed', TORCH)
    return ok(torch.__version__)


def check_torchvision() -> Result:
    import torch

    here = torch.__version__.split('+')[0]
    pair = f'{PIP} install torchvision torch=={here}'
    if not (found := installed('torchvision')):
        return warning('not installed; mmpretrain needs it', pair)
    wanted = re.search(r'^torch\s*\(?==\s*([\d.]+)', '\n'.join(requires('torchvision') or ()), re.M)
    if wanted and wanted[1] != here:
        built = f'{found["torchvision"]} was built for torch {wanted[1]}, but this is {here}'
        return problem(built, pair)
    return ok(found['torchvision'])


def check_gpu() -> Result:
    import torch

    driver, usable = '', torch.cuda.is_available()
    if shutil.which('nvidia-smi'):
        command = ['nvidia-smi', '--query-gpu=driver_version', '--format=csv,noheader']
        smi = subprocess.run(command, capture_output=True, text=True, check=False)
        driver = smi.stdout.partition('\n')[0]
    if not driver and not usable:
        return ok('no NVIDIA GPU; training runs on the CPU')
    if not usable and torch.version.cuda is None:
        found = f'NVIDIA driver {driver}, but this torch was built without CUDA'
        return warning(found, f'{TORCH} --force-reinstall')
    try:
        torch.zeros(1, device='cuda').add(1).item()
    except Exception as error:
        found = f'NVIDIA driver {driver}: {told(error)}'
        return (problem if usable else warning)(found, FITTING_TORCH)
    capability = '.'.join(map(str, torch.cuda.get_device_capability()))
    return ok(
        f'{torch.cuda.get_device_name()}, compute capability {capability}, '
        f'driver {driver or "unknown"}, torch for CUDA {torch.version.cuda}'
    )


def check_numpy() -> Result:
    here = installed('numpy').get('numpy')
    if here is None:
        return problem('not installed', install('numpy'))
    if upstream() and machine.release(here) >= (2, 0):
        found = f'{here}, but the upstream versions of {", ".join(upstream())} need numpy 1'
        return warning(found, f"{PIP} install 'numpy<2'")
    return ok(here)


def check_setuptools() -> Result:
    here = installed('setuptools').get('setuptools', 'not installed')
    if 'mmengine' in upstream() and find_spec('pkg_resources') is None:
        found = f"{here} has no pkg_resources, and upstream's mmengine finds base configs with it"
        return problem(found, f"{PIP} install 'setuptools<82'")
    return ok(here)


def check_opencv() -> Result:
    here = installed(*OPENCV)
    if find_spec('cv2') is None:
        return problem('not installed', reinstall_opencv())
    if len(set(here.values())) > 1:
        found = f'{listed(here)} overwrite each other: their versions must be the same'
        return problem(found, reinstall_opencv())
    cv2 = importlib.import_module('cv2')
    return ok(listed(here) or cv2.__version__)


def check_library(name: str) -> Result:
    here = installed(*FAMILY[name])
    if len(here) > 1:
        found = f'{listed(here)} overwrite each other: only one may be installed'
        return problem(found, use_fork(name))
    if find_spec(name) is None:
        return (warning if name in LIBRARIES else problem)('not installed', use_fork(name))
    module = importlib.import_module(name)
    if name in LIBRARIES:  # import all that it registers, as its tools do
        importlib.import_module(f'{name}.utils').register_all_modules()
    return ok(listed(here) or module.__version__)


def check_ops() -> Result:
    import torch
    from mmcv.ops import nms

    box = torch.tensor([[0.0, 0.0, 1.0, 1.0]])
    nms(box, box[:, 2], 0.5)
    if not torch.cuda.is_available():
        return ok('run on the CPU')
    try:
        nms(box.cuda(), box[:, 2].cuda(), 0.5)
    except Exception as error:
        return warning(f'run on the CPU only: {told(error)}', use_fork('mmcv'))
    return ok('run on the GPU and the CPU')


def ops_failed(error: str) -> Result:
    needed = [name for name in ('mmdet', 'mmseg') if installed(*FAMILY[name])]
    need = f'{" and ".join(needed)} need them' if needed else 'mmdet and mmseg would need them'
    found = f'do not run: {error}; {need}'
    torch = installed('torch').get('torch', '')
    if cannot_build := machine.compiler_problem(torch) or machine.headers_problem():
        found += f'. Do this before you build them: {cannot_build}'
    return (problem if needed else warning)(found, use_fork('mmcv'))


def check_extras() -> Result:
    names = EXTRAS.split()
    if missing := [name for name in names if find_spec(name) is None]:
        return warning(f'not installed: {", ".join(missing)}', install(*missing))
    return ok(', '.join(names))


def check_mmrsir() -> Result:
    import torch

    import mmrsir

    importlib.reload(mmrsir)  # until now it holds the doctor alone
    from mmrsir.models.windows import kernels

    device = torch.device('cuda' if torch.cuda.is_available() else 'cpu')
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter('always')
        image = torch.zeros(1, 3, 64, 64, device=device)
        mmrsir.models.RSIRTransformer('nano').to(device)(image)
        indexed = kernels is not None and kernels.supports(device, image.dtype, 49, 32)
    if not installed('mmrsir'):
        found = 'not installed: other projects can import it only with this folder on PYTHONPATH'
        return warning(found, MMRSIR)
    if device.type == 'cpu':
        return ok(f'{__version__}, runs on cpu')
    messages = [str(each.message) for each in caught if 'Triton' in str(each.message)]
    return judge_kernel(kernels is not None, indexed, messages)


def judge_kernel(triton: bool, indexed: bool, messages: list[str]) -> Result:
    if indexed:
        return ok(f'{__version__}, runs on cuda with its own kernel')
    if not triton:
        return warning('runs slower, because Triton is not installed', f'{PIP} install triton')
    if messages:
        compiler = f'install the packages gcc and python3.{sys.version_info[1]}-dev'
        return warning(messages[0], compiler)
    return ok(f'{__version__}, runs on cuda; its own kernel does not support this GPU')


def installed(*distributions: str) -> dict[str, str]:
    """Those of the distributions that are there, with their versions."""
    found = {}
    for name in distributions:
        with suppress(PackageNotFoundError):
            found[name] = version(name)
    return found


def upstream() -> list[str]:
    """Import names of what is installed from upstream."""
    return [name for name, (_, *others) in FAMILY.items() if installed(*others)]


def install(*modules: str) -> str:
    return ' '.join([PINNED, *(DISTRIBUTIONS.get(module, module) for module in modules)])


def replace(distributions: list[str], *steps: str) -> str:
    """Uninstalls those of the distributions that are there before the steps."""
    there = ' '.join(installed(*distributions))
    return ' && '.join([f'{PIP} uninstall -y {there}'] * bool(there) + [*steps])


def reinstall_opencv() -> str:
    # mmcv wants one of the two, mmdet both. Their files have the same names: the second, which does
    # without libGL.so.1, has to be the last to write them.
    both = [f'{PINNED} --no-deps opencv-python{variant}' for variant in ('', '-headless')]
    return replace(OPENCV, *both)


def use_fork(module: str) -> str:
    """Installs the fork of this module, and of all that is from upstream, in their place.

    The fork's and upstream's libraries refuse each other's versions.
    """
    modules = [name for name in FAMILY if name in (module, *upstream())]
    forks = [FAMILY[name][0] for name in modules if name != 'mmcv']
    steps = [install(*forks)] * bool(forks) + [MMCV] * ('mmcv' in modules)
    return replace([each for name in modules for each in FAMILY[name]], *steps)


def listed(distributions: Mapping[str, str]) -> str:
    return ' and '.join(f'{name} {version}' for name, version in distributions.items())


def told(error: BaseException | str) -> str:
    text = error if isinstance(error, str) else f'{type(error).__name__}: {error}'
    return ' '.join(text.split())[:300]


def library(name: str, *needs: str) -> Check:
    def failed(error: str) -> Result:
        missing = re.search(r"No module named '(\w+)'", error)
        module = missing[1] if missing else name
        mending = use_fork(name) if module in FAMILY else install(module)
        return problem(f'{listed(installed(*FAMILY[name]))}: {error}', mending)

    return Check(name, partial(check_library, name), needs, failed)


CHECKS = (
    Check('Python', check_python),
    Check('torch', check_torch, (), partial(problem, mending=f'{TORCH} --force-reinstall')),
    Check('torchvision', check_torchvision, ('torch',)),
    Check('GPU', check_gpu, ('torch',), partial(problem, mending=FITTING_TORCH)),
    Check('numpy', check_numpy),
    Check('setuptools', check_setuptools),
    Check('OpenCV', check_opencv, ('numpy',), lambda error: problem(error, reinstall_opencv())),
    library('mmengine'),
    library('mmcv', 'torch', 'mmengine', 'OpenCV'),
    Check('mmrsir', check_mmrsir, ('mmcv',)),
    Check("mmcv's ops", check_ops, ('mmcv',), ops_failed),
    library('mmdet', "mmcv's ops"),
    library('mmseg', "mmcv's ops"),
    library('mmpretrain', 'mmcv', 'torchvision'),
    Check('extras', check_extras),
)
