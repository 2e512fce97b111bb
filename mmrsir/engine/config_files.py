"""Config files: those of a user by path, ours also by name."""

from difflib import get_close_matches
from pathlib import Path

from mmengine.infer import BaseInferencer

from .config_check import MissingPathError
from .config_check.paths import names_in

FOLDERS = {'mmdet': 'mask_rcnn', 'mmseg': 'upernet', 'mmpretrain': 'cls'}


def root() -> Path:
    """Return the folder that has ``configs``, of the repository or of the installed package."""
    return Path(BaseInferencer._get_repo_or_mim_dir('mmrsir'))


def find_config(name: str) -> Path:
    """Find a config file.

    Args:
        name: A path, or the name of one of our configs: ``<folder>/<name>`` such as
            ``mask_rcnn/rsir_n_shapes``, with an underscore in between as in the libraries'
            inferencers, or ``<name>`` alone where only one folder has it.

    Returns:
        Path of the config.

    Raises:
        MissingPathError: There is none, or more than one of that name; names the nearest.
    """
    if Path(name).is_file():
        return Path(name)
    configs = root() / 'configs'
    known = {
        str(path.relative_to(configs).with_suffix('')): path
        for folder in FOLDERS.values()
        for path in sorted((configs / folder).rglob('*.py'))
    }
    stem = name.removesuffix('.py')
    alike = [
        key for key in known if stem in (key, key.replace('/', '_')) or key.endswith(f'/{stem}')
    ]
    if len(alike) == 1:
        return known[alike[0]]
    if alike:
        raise MissingPathError(f'several configs have the name {name}: {", ".join(alike)}')
    raise _missing('config', name, _near_files(name) or get_close_matches(name, known, 1))


def check_file(what: str, path: str) -> None:
    """Check that a file exists.

    Args:
        what: What the file is, for the message.
        path: Its path; an address such as ``https://…`` is not checked.

    Raises:
        MissingPathError: It does not exist; names the nearest file beside it.
    """
    if '://' not in path and not Path(path).is_file():
        raise _missing(what, path, _near_files(path))


def _near_files(path: str) -> list[str]:
    """Return the file beside a path whose name is nearest, if there is one."""
    folder = Path(path).parent
    siblings = names_in(folder) if folder.is_dir() else []
    return [str(folder / name) for name in get_close_matches(Path(path).name, siblings, n=1)]


def _missing(what: str, path: str, near: list[str]) -> MissingPathError:
    hint = f'; did you mean {near[0]}?' if near else ''
    return MissingPathError(f'{what} {path} does not exist{hint}')
