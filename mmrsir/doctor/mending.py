"""Commands that mend an environment, to be run in the folder with requirements/."""

import re
import shlex
import shutil
import sys
from collections.abc import Iterable, Mapping

# Import name: the maintained fork's distribution, then upstream's.
FAMILY = {
    'mmengine': ('onedl-mmengine', 'mmengine', 'mmengine-lite'),
    'mmcv': ('onedl-mmcv', 'mmcv', 'mmcv-lite', 'mmcv-full'),
    'mmdet': ('onedl-mmdetection', 'mmdet'),
    'mmseg': ('onedl-mmsegmentation', 'mmsegmentation'),
    'mmpretrain': ('onedl-mmpretrain', 'mmpretrain'),
}
# Where the import name is another one.
DISTRIBUTIONS = {'PIL': 'pillow', 'skimage': 'scikit-image', 'sklearn': 'scikit-learn'}

# Distributions and versions that are installed, by import name.
Packages = Mapping[str, Mapping[str, str]]

PYTHON = 'python' if shutil.which('python') == sys.executable else shlex.quote(sys.executable)
PIP = f'{PYTHON} -m pip'
PINNED = '-c requirements/constraints.txt'
TORCH = f'{PIP} install -r requirements/torch.txt'
BUILD_OPS = f'{PIP} install -r requirements/build.txt && {PYTHON} dev/build_mmcv.py'


def chain(*commands: str) -> str:
    return ' && '.join(command for command in commands if command)


def uninstall(distributions: Iterable[str]) -> str:
    names = ' '.join(distributions)
    return f'{PIP} uninstall -y {names}' if names else ''


def install(*modules: str) -> str:
    names = (DISTRIBUTIONS.get(module, module) for module in modules)
    return f'{PIP} install {PINNED} {" ".join(names)}'


def reinstall_opencv(present: Iterable[str]) -> str:
    # mmcv wants one of the two, mmdet both. Their files have the same names: the second, which does
    # without libGL.so.1, has to be the last to write them.
    return chain(
        uninstall(present),
        f'{PIP} install {PINNED} --no-deps opencv-python',
        f'{PIP} install {PINNED} --no-deps opencv-python-headless',
    )


def upstream(packages: Packages) -> list[str]:
    """Import names of what is installed from upstream."""
    return [name for name, (fork, *_) in FAMILY.items() if packages[name].keys() - {fork}]


def use_forks(modules: Iterable[str], packages: Packages) -> str:
    """Installs forks in place of these modules, and of all that is from upstream.

    The fork's and upstream's libraries refuse each other's versions.
    """
    modules = [name for name in FAMILY if name in {*modules, *upstream(packages)}]
    forks = [FAMILY[name][0] for name in modules if name != 'mmcv']
    return chain(
        uninstall(distribution for name in modules for distribution in packages[name]),
        install(*forks) if forks else '',
        BUILD_OPS if 'mmcv' in modules else '',
    )


def after_failed_import(module: str, error: str, packages: Packages) -> str:
    missing = re.search(r"No module named '(\w+)'", error)
    if missing and missing[1] not in FAMILY:
        return install(missing[1])
    return use_forks([module], packages)
