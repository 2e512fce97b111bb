"""Commands that mend an environment, to be run in the folder with requirements/."""

import re
import shlex
import shutil
import sys
from collections.abc import Iterable
from importlib.metadata import PackageNotFoundError, version

# Import name: the maintained fork's distribution, then upstream's.
FAMILY = {
    'mmengine': ('onedl-mmengine', 'mmengine', 'mmengine-lite'),
    'mmcv': ('onedl-mmcv', 'mmcv', 'mmcv-lite', 'mmcv-full'),
    'mmdet': ('onedl-mmdetection', 'mmdet'),
    'mmseg': ('onedl-mmsegmentation', 'mmsegmentation'),
    'mmpretrain': ('onedl-mmpretrain', 'mmpretrain'),
}
OPENCV = (
    'opencv-python',
    'opencv-python-headless',
    'opencv-contrib-python',
    'opencv-contrib-python-headless',
)
# Where the import name is another one.
DISTRIBUTIONS = {'PIL': 'pillow', 'skimage': 'scikit-image', 'sklearn': 'scikit-learn'}

PYTHON = 'python' if shutil.which('python') == sys.executable else shlex.quote(sys.executable)
PIP = f'{PYTHON} -m pip'
PINNED = f'{PIP} install -c requirements/constraints.txt'
TORCH = f'{PIP} install -r requirements/torch.txt'
BUILD_OPS = f'{PIP} install -r requirements/build.txt && {PYTHON} dev/build_mmcv.py'


def installed(*distributions: str) -> dict[str, str]:
    """Those of the distributions that are there, with their versions."""
    found = {}
    for name in distributions:
        try:
            found[name] = version(name)
        except PackageNotFoundError:
            continue
    return found


def upstream() -> list[str]:
    """Import names of what is installed from upstream."""
    return [name for name, (_, *others) in FAMILY.items() if installed(*others)]


def uninstall(distributions: Iterable[str]) -> str:
    names = ' '.join(distributions)
    return f'{PIP} uninstall -y {names} && ' if names else ''


def install(*modules: str) -> str:
    return ' '.join([PINNED, *(DISTRIBUTIONS.get(module, module) for module in modules)])


def reinstall_opencv() -> str:
    # mmcv wants one of the two, mmdet both. Their files have the same names: the second, which does
    # without libGL.so.1, has to be the last to write them.
    return (
        f'{uninstall(installed(*OPENCV))}{PINNED} --no-deps opencv-python && '
        f'{PINNED} --no-deps opencv-python-headless'
    )


def use_fork(module: str) -> str:
    """Installs the fork of this module, and of all that is from upstream, in their place.

    The fork's and upstream's libraries refuse each other's versions.
    """
    modules = [name for name in FAMILY if name in (module, *upstream())]
    present = [each for name in modules for each in installed(*FAMILY[name])]
    forks = [FAMILY[name][0] for name in modules if name != 'mmcv']
    steps = [install(*forks)] * bool(forks) + [BUILD_OPS] * ('mmcv' in modules)
    return uninstall(present) + ' && '.join(steps)


def after_failed_import(module: str, error: str) -> str:
    missing = re.search(r"No module named '(\w+)'", error)
    if missing and missing[1] not in FAMILY:
        return install(missing[1])
    return use_fork(module)
