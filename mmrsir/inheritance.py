"""``_base_ = 'mmrsir::…'``: configs of other projects inherit from those of mmrsir.

mmengine finds such files of installed packages only, and builds what they hold in the scope of the
package. Our configs are those of the code that is imported, installed or not, and are written for
mmdet, mmseg and mmpretrain. So ``import mmrsir`` wraps one function of mmengine,
``Config._get_cfg_path``, which does as before with all names but ``mmrsir::``.
"""

from pathlib import Path

from mmengine.config import Config
from mmengine.config.utils import MODULE2PACKAGE

from .utils.errors import UserError
from .utils.suggestions import did_you_mean

PACKAGE = 'mmrsir'
HERE = Path(__file__).resolve().parent
_find_base = Config._get_cfg_path


class MissingBaseError(UserError, FileNotFoundError):
    """There is no config of mmrsir of such a name."""


def root() -> Path:
    """Return the folder that has ``configs``, of the installed package or of the repository.

    Raises:
        MissingBaseError: The package was copied without them.
    """
    for folder in (HERE.parent, HERE / '.mim'):
        if (folder / 'configs/_base_').is_dir() and (folder / 'configs/mask_rcnn').is_dir():
            return folder
    raise MissingBaseError(
        f'{HERE} has no configs beside it or in .mim: install mmrsir by "pip install -e ." in a '
        'clone of its repository, or put the clone itself on PYTHONPATH'
    )


def find_base(cfg_path: str, filename: str) -> tuple[str, str | None]:
    """Return the path of what stands in ``_base_`` of a config, and the scope of what it holds.

    The scope is None for that of the heir. Names of other packages are mmengine's business.
    """
    package, separator, name = cfg_path.partition('::')
    if not separator or package != PACKAGE:
        return _find_base(cfg_path, filename)
    configs = root() / 'configs'
    name = f'{name.removesuffix(".py")}.py'
    if (configs / name).is_file():
        return str(configs / name), None
    known = [path.relative_to(configs).as_posix() for path in configs.rglob('*.py')]
    hint = did_you_mean(name, known, shown=lambda near: repr(f'{PACKAGE}::{near}'), cutoff=0)
    raise MissingBaseError(
        f'{filename}: _base_ = {cfg_path!r}, but {configs / name} does not exist{hint}'
    )


def enable() -> None:
    """Let mmengine find the configs of mmrsir; nothing else changes for it."""
    MODULE2PACKAGE[PACKAGE] = PACKAGE
    Config._get_cfg_path = staticmethod(find_base)


def disable() -> None:
    """Undo :func:`enable`."""
    MODULE2PACKAGE.pop(PACKAGE, None)
    Config._get_cfg_path = staticmethod(_find_base)
