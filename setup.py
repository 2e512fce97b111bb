"""Packs mmrsir; configs and tools travel along in mmrsir/.mim, where OpenMMLab looks for them.

Everything else about the package stands in pyproject.toml.
"""

import os
import shutil
from pathlib import Path

from setuptools import setup
from setuptools.command.build_py import build_py

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


setup(cmdclass={'build_py': BuildWithMim})
