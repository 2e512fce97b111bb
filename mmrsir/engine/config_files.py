"""Config files: those of a user by path, ours also by name."""

import ast
import traceback
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from textwrap import shorten
from typing import Any

import yaml  # type: ignore[import-untyped]
from mmengine.config import Config
from mmengine.config import utils as config_utils
from mmengine.config.utils import ConfigParsingError

from ..inheritance import root
from ..utils.encoding import encoding_problem
from ..utils.errors import UserError
from ..utils.missing import MissingPathError, nearest
from ..utils.suggestions import did_you_mean
from .config_check import ConfigError

FOLDERS = {'mmdet': 'mask_rcnn', 'mmseg': 'upernet', 'mmpretrain': 'cls'}


def find_config(name: str) -> Path:
    """Find a config file by its path, or one of ours by its name.

    ``mask_rcnn/rsir_n_shapes``; with an underscore in between, as in the libraries' inferencers; or
    without the folder where only one has such a file.
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
        raise MissingPathError(
            f'several configs are called {name}; name one by its folder: {", ".join(alike)}'
        )
    hint = nearest(name) or did_you_mean(name, known, shown=str)
    raise MissingPathError(f'config {name} does not exist{hint}')


def run_name(config: str, checkpoint: str | None = None) -> str:
    """Return the name of a checkpoint and of its run, or of a config.

    Ours have that of their folder in front where several folders have a file of that name.
    """
    if checkpoint is not None:
        path = Path(checkpoint.rpartition('://')[2])
        folder = path.parent.name if '://' in checkpoint else path.resolve().parent.name
        return f'{folder}_{path.stem}' if folder else path.stem
    path = find_config(config).resolve()
    alike = list((root() / 'configs').resolve().rglob(path.name))
    return f'{path.parent.name}_{path.stem}' if path in alike and len(alike) > 1 else path.stem


def metafiles(scope: str) -> list[Path]:
    """Return the metafiles that describe our configs for a library."""
    return sorted((root() / 'configs' / FOLDERS[scope]).rglob('metafile.yml'))


def models_of(scope: str) -> Iterator[dict[str, Any]]:
    """Yield what the metafiles say of our models for a library; ``Config`` is an absolute path."""
    for metafile in metafiles(scope):
        for model in yaml.safe_load(metafile.read_text(encoding='utf-8'))['Models']:
            yield {'Weights': None, **model, 'Config': str(root() / model['Config'])}


def read_file(path: Path) -> Config:
    """Read a config file; an error names the file, of those it inherits from, that is broken."""
    try:
        with _bases_by_path():
            cfg = Config.fromfile(path)
    except (SyntaxError, UnicodeDecodeError) as error:
        for one in _with_bases(path):
            problem = encoding_problem(one.read_bytes()) or _syntax_problem(one)
            if problem:
                raise ConfigError(f'config {one} cannot be read: {problem}') from error
        raise
    except (AssertionError, FileNotFoundError) as error:
        if not isinstance(error, UserError) and (said := _missing_base(path)):
            raise MissingPathError(said) from error
        raise
    except ImportError as error:
        raise ConfigError(
            f'config {path} imports what cannot be imported: {_root_of(error)}. PYTHONPATH must '
            'name the folder of your own modules'
        ) from error
    except (AttributeError, ConfigParsingError, KeyError, NameError, TypeError) as error:
        said = shorten(str(error.args[0] if error.args else error), 500, placeholder=' …')
        if isinstance(error, KeyError) and ' ' not in said:
            said = f'{said!r} is used, but not set'
        raise ConfigError(f'config {path} cannot be read: {_line_of(error)}{said}') from error
    # A run prints its config six times, and yapf takes most of a second for each; mmengine has
    # this switch, but fromfile does not pass it on.
    object.__setattr__(cfg, '_format_python_code', False)
    return cfg


@contextmanager
def _bases_by_path() -> Iterator[None]:
    """Spare a second for each base of a library, for which mmengine reads hundreds of metafiles."""
    search = config_utils._get_cfg_metainfo

    def find(package_path: str, name: str) -> dict[str, Any]:
        if Path(package_path, '.mim/configs', f'{name}.py').is_file():
            raise ValueError(name)  # mmengine then takes this file
        return search(package_path, name)

    config_utils._get_cfg_metainfo = find
    try:
        yield
    finally:
        config_utils._get_cfg_metainfo = search


def _with_bases(path: Path) -> Iterator[Path]:
    """Yield a config file and then those that it inherits from, as far as they can be read."""
    yield path
    with suppress(Exception):  # the file is what could not be read
        for name in Config._get_base_files(str(path)):
            base, _ = Config._get_cfg_path(name, str(path))
            yield from _with_bases(Path(base))


def _missing_base(path: Path) -> str:
    """Say which base of a config, or of its bases, is not there; '' if all are."""
    for name in Config._get_base_files(str(path)):
        if '{{' in name:  # mmengine replaces it before it reads the text
            continue
        said = f'config {path} has _base_ = {name!r}, but'
        try:
            base = Path(Config._get_cfg_path(name, str(path))[0])
        except AssertionError:  # of mmengine
            package = name.partition('::')[0]
            hint = did_you_mean(package, config_utils.MODULE2PACKAGE)
            return f'{said} no configs come with {package!r}{hint}'
        except FileNotFoundError as error:
            base = Path(str(error).split('"')[1])
        if base.is_dir():
            return f'{said} {base} is a folder'
        if not base.is_file():
            return f'{said} {base} does not exist{nearest(base)}'
        if below := _missing_base(base):
            return below
    return ''


def _line_of(error: Exception) -> str:
    frames = [one for one in traceback.extract_tb(error.__traceback__) if one.name == '<module>']
    return f'line {frames[-1].lineno} of it, or of one of its bases: ' if frames else ''


def _root_of(error: BaseException) -> BaseException:
    while cause := error.__cause__ or error.__context__:
        error = cause
    return error


def _syntax_problem(path: Path) -> str:
    try:
        ast.parse(path.read_bytes())
    except SyntaxError as error:
        return f'line {error.lineno}: {error.msg}: {(error.text or "").strip()!r}'
    return ''
