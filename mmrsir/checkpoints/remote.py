"""Checkpoints at an address: fetched, then read as :mod:`.safe_loading` reads files."""

import os
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import torch
from mmengine.dist import barrier, is_main_process
from mmengine.fileio import get_local_path
from mmengine.runner import (
    CheckpointLoader,
    get_deprecated_model_names,
    get_external_models,
    get_mmcls_models,
    get_torchvision_models,
)
from mmengine.runner.checkpoint import _get_mmengine_home

from ..utils.errors import InvalidValueError, UserError
from ..utils.suggestions import did_you_mean
from .safe_loading import load_file
from .seal import CorruptCheckpointError

# Published files are called `<name>-<first digits of the SHA-256>`; others may end in a date.
HASHED_NAME = re.compile(r'-(?!20\d{6}\.)([0-9a-f]{8,64})\.\w+$')
BACKBONE = 'backbone.'


class DownloadError(UserError, OSError):
    """A file cannot be had from its address."""


def load_checkpoint(address: str, map_location: Any = 'cpu') -> Any:
    """Read a checkpoint as data, without mmengine's own loaders, which may run what they fetch.

    ``address`` is a file, an address, or a name in a list of models. Schemes that a project adds to
    mmengine's loader are read by what it added.
    """
    loaders = {**CheckpointLoader._schemes, **LOADERS}
    prefix = next(one for one in sorted(loaders, reverse=True) if re.match(one, address))
    return loaders[prefix](address, map_location)


def load_from_local(filename: str, map_location: Any = None) -> Any:
    # mmengine's log names a loader by what follows `load_from_`.
    return load_file(filename, map_location)


def load_from_http(filename: str, map_location: Any = None) -> Any:
    """Read a checkpoint from the web, which is kept in the cache of ``torch.hub``."""
    path = Path(torch.hub.get_dir(), 'checkpoints', os.path.basename(urlsplit(filename).path))
    if is_main_process():
        _fetch(filename, path)
    barrier()
    _fetch(filename, path)  # on other machines
    return load_file(str(path), map_location)


def load_from_list(filename: str, map_location: Any = None) -> Any:
    """Read a checkpoint by its name in torchvision's, OpenMMLab's or mmcls's list of models."""
    scheme, _, name = filename.partition('://')
    if scheme in ('modelzoo', 'torchvision'):
        known = get_torchvision_models()
    elif scheme == 'mmcls':
        known = get_mmcls_models()
    else:
        known = get_external_models()
        name = get_deprecated_model_names().get(name, name)
    if name not in known:
        hint = did_you_mean(name, known, cutoff=0)
        raise InvalidValueError(f'{filename} is unknown; {scheme}:// has {len(known)} models{hint}')
    address = known[name]
    if not address.startswith(('http://', 'https://')):
        return load_file(os.path.join(_get_mmengine_home(), address), map_location)
    content = load_from_http(address, map_location)
    if scheme != 'mmcls':
        return content
    weights = content.get('state_dict', content)
    backbone = [key for key in weights if key.startswith(BACKBONE)]
    return dict(state_dict={key.removeprefix(BACKBONE): weights[key] for key in backbone})


def load_from_ceph(filename: str, map_location: Any = None) -> Any:
    """Read a checkpoint from a store that petrel serves."""
    with get_local_path(filename, backend_args=dict(backend='petrel')) as path:
        return load_file(str(path), map_location)


def load_from_pavi(filename: str, map_location: Any = None) -> Any:
    """Refuse a store that only mmengine's own, unsafe loader knows."""
    raise InvalidValueError(
        f'{filename}: pavi:// is not supported; download the file and give its path'
    )


# Patterns of how an address begins, as mmengine has them.
LOADERS: dict[str, Callable[..., Any]] = {
    '': load_from_local,
    'http://': load_from_http,
    'https://': load_from_http,
    'modelzoo://': load_from_list,
    'torchvision://': load_from_list,
    'open-mmlab://': load_from_list,
    'openmmlab://': load_from_list,
    'mmcls://': load_from_list,
    r'(\S+\:)?s3://': load_from_ceph,
    r'(\S+\:)?petrel://': load_from_ceph,
    'pavi://': load_from_pavi,
}


def _fetch(address: str, path: Path) -> None:
    """Download a file, unless it is there."""
    if path.is_file():
        return
    path.parent.mkdir(parents=True, exist_ok=True)
    hashed = HASHED_NAME.search(path.name)
    try:
        torch.hub.download_url_to_file(address, str(path), hashed and hashed[1], os.isatty(2))
    except RuntimeError as error:
        raise CorruptCheckpointError(f'{address} is damaged: {error}') from error
    except OSError as error:
        raise DownloadError(
            f'{address} could not be downloaded: {error}. Try again, or put the file at {path}'
        ) from error
