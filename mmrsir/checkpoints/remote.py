"""Checkpoints at an address: fetched, then read as :mod:`.safe_loading` reads files.

Importing this module replaces those loaders of mmengine that run what they fetch.
"""

import os
import re
from collections.abc import Mapping
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

from ..utils.suggestions import did_you_mean
from .safe_loading import load_file
from .seal import CorruptCheckpointError

# Published files are called `<name>-<first digits of the SHA-256>`; others may end in a date.
HASHED_NAME = re.compile(r'-(?!20\d{6}\.)([0-9a-f]{8,64})\.\w+$')


def _register(*prefixes: str) -> Any:
    return CheckpointLoader.register_scheme(prefixes=prefixes, force=True)


@_register('http://', 'https://')
def load_from_http(filename: str, map_location: Any = None) -> Any:
    """Read a checkpoint from the web, which is kept in the cache of ``torch.hub``.

    Args:
        filename: Address. If its file name ends in a hash, as that of published files does,
            the file must have it.
        map_location: Device of the tensors, as for ``torch.load``; None: the CPU.

    Returns:
        What :func:`mmrsir.checkpoints.safe_loading.load_file` returns.

    Raises:
        CorruptCheckpointError: The hash is another one, or the file is no checkpoint.
        OSError: It cannot be fetched.
        UnsafeCheckpointError: It asks for more than data.
    """
    path = Path(torch.hub.get_dir(), 'checkpoints', os.path.basename(urlsplit(filename).path))
    if is_main_process():
        _fetch(filename, path)
    barrier()
    _fetch(filename, path)  # on other machines
    return load_file(str(path), map_location)


@_register('modelzoo://', 'torchvision://')
def load_from_torchvision(filename: str, map_location: Any = None) -> Any:
    """Read a checkpoint of torchvision; see :func:`load_from_http`."""
    return load_from_http(_look_up(filename, get_torchvision_models()), map_location)


@_register('open-mmlab://', 'openmmlab://')
def load_from_openmmlab(filename: str, map_location: Any = None) -> Any:
    """Read a checkpoint of OpenMMLab's list; see :func:`load_from_http`."""
    scheme, _, name = filename.partition('://')
    name = get_deprecated_model_names().get(name, name)
    address = _look_up(f'{scheme}://{name}', get_external_models())
    if address.startswith(('http://', 'https://')):
        return load_from_http(address, map_location)
    return load_file(os.path.join(_get_mmengine_home(), address), map_location)


@_register('mmcls://')
def load_from_mmcls(filename: str, map_location: Any = None) -> dict[str, Any]:
    """Read the backbone out of a checkpoint of mmcls; see :func:`load_from_http`."""
    content = load_from_http(_look_up(filename, get_mmcls_models()), map_location)
    prefix = 'backbone.'
    weights = {
        key.removeprefix(prefix): value
        for key, value in content.get('state_dict', content).items()
        if key.startswith(prefix)
    }
    return dict(state_dict=weights)


@_register(r'(\S+\:)?s3://', r'(\S+\:)?petrel://')
def load_from_ceph(filename: str, map_location: Any = None) -> Any:
    """Read a checkpoint from a store that petrel serves; see :func:`load_from_http`."""
    with get_local_path(filename, backend_args=dict(backend='petrel')) as path:
        return load_file(str(path), map_location)


@_register('pavi://')
def load_from_pavi(filename: str, map_location: Any = None) -> Any:
    """Refuse a store that only mmengine's own, unsafe loader knows."""
    raise ValueError(f'{filename}: download the file, and give its path; pavi:// is not supported')


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


def _look_up(address: str, known: Mapping[str, str]) -> str:
    """Return where a model lies that has a name in a list."""
    name = address.partition('://')[2]
    if name not in known:
        hint = did_you_mean(name, known, cutoff=0)
        raise ValueError(f'{address} is none of {len(known)} known models{hint}')
    return known[name]
