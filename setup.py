"""Packs mmrsir; configs and tools travel along in mmrsir/.mim, where OpenMMLab looks for them."""

import os
import re
import shutil
from pathlib import Path

from setuptools import find_packages, setup
from setuptools.command.build_py import build_py

ROOT = Path(__file__).resolve().parent
MIM_FILES = ('configs', 'tools', 'model-index.yml')


class BuildWithMim(build_py):
    """Copies MIM_FILES into the package, or, for an editable install, links to them."""

    def run(self) -> None:
        """Builds as always, then adds mmrsir/.mim."""
        super().run()
        mim = Path('mmrsir' if self.editable_mode else f'{self.build_lib}/mmrsir', '.mim')
        shutil.rmtree(mim, ignore_errors=True)
        mim.mkdir(parents=True)
        for source in MIM_FILES:
            if self.editable_mode:
                (mim / source).symlink_to(Path('..', '..', source))
            elif os.path.isdir(source):
                ignore = shutil.ignore_patterns('__pycache__')
                shutil.copytree(source, mim / source, ignore=ignore)
            else:
                shutil.copy2(source, mim)


def requirements(*names: str) -> list[str]:
    """The lines of files in requirements/."""
    lines = (line for name in names for line in (ROOT / f'requirements/{name}.txt').open())
    return [line.strip() for line in lines if line.strip() and not line.startswith('#')]


setup(
    name='mmrsir',
    version=re.findall(r"__version__ = '(.+)'", (ROOT / 'mmrsir/version.py').read_text())[0],
    description='The RSIR Transformer as a backbone for MMDetection, MMSegmentation, mmpretrain',
    license='Apache-2.0',
    packages=find_packages(include=['mmrsir', 'mmrsir.*']),
    package_data={'mmrsir.weights': ['*.safetensors', '*.md']},
    cmdclass={'build_py': BuildWithMim},
    python_requires='>=3.10',
    # mmengine and mmcv are needed too, but either come as upstream's packages or as the fork's,
    # with the same import names: naming one would install it over the other.
    install_requires=['torch>=2.7'],
    extras_require={
        # Without mmcv, which pip would build without its ops: see requirements/mmcv.txt.
        'full': requirements('torch', 'openmmlab'),
        'dev': requirements('dev'),
        'app': requirements('app'),
    },
    zip_safe=False,
)
