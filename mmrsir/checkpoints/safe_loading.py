"""Checkpoint files from anywhere: they are read as data, and nothing in them is run.

``torch.save`` writes pickles, which may name any function to be called when they are read.
mmengine reads them safely first, but with an allow list through which ``exec`` can be reached, and
falls back to running them. :mod:`mmrsir.replacements` puts :func:`load_file` in its place, for
every library of the family and wherever it takes a checkpoint.
"""

import json
import logging
import os
import re
from argparse import Action, ArgumentParser
from pickle import UnpicklingError
from typing import Any
from zipfile import is_zipfile

import numpy as np
import torch
from mmengine.config import ConfigDict
from mmengine.logging import HistoryBuffer, print_log
from torch.serialization import safe_globals

from ..utils.errors import UserError
from ..utils.missing import check_file
from .config_text import find_code
from .seal import CorruptCheckpointError, check_sums, verify

STATISTICS = ('min', 'max', 'current', 'mean')
NUMBERS = [
    np.dtype(code)
    for code in f'?{np.typecodes["AllInteger"]}{np.typecodes["Float"]}{np.typecodes["Complex"]}'
]

_unsafe_allowed = False


class UnsafeCheckpointError(UserError, ValueError):
    """A checkpoint file asks for more than data."""


def add_unsafe_flag(parser: ArgumentParser) -> None:
    """Add ``--unsafe-load``, which calls :func:`allow_unsafe`."""
    parser.add_argument(
        '--unsafe-load',
        action=_AllowUnsafe,
        nargs=0,
        help='also load checkpoints that run code when they are loaded; that code can do whatever '
        'you can: only for files whose maker you trust',
    )


class _AllowUnsafe(Action):
    """Allows it as soon as the flag is read."""

    def __call__(self, *_: Any) -> None:
        allow_unsafe()


def allow_unsafe() -> None:
    """Let checkpoints run code when they are loaded, from now on and in this process."""
    global _unsafe_allowed
    _unsafe_allowed = True


def load_file(path: str, map_location: Any = None) -> Any:
    """Read a file of ``torch.save`` or ``.safetensors``, without config texts that would run.

    Raises:
        CorruptCheckpointError: It is damaged or no checkpoint.
        FileNotFoundError: It does not exist.
        UnsafeCheckpointError: It asks for more than data, and :func:`allow_unsafe` was not called.
    """
    path = os.path.expanduser(path)
    check_file('checkpoint', path)
    if path.endswith('.safetensors'):
        content = _load_safetensors(path, str(map_location or 'cpu'))
    else:
        # Files without a zip archive were written before torch 1.6, or are no checkpoints.
        if not verify(path) and is_zipfile(path):
            check_sums(path)
        content = _load_pickle(path, map_location or 'cpu')
    _drop_code(content, path)
    return content


def _load_pickle(path: str, map_location: Any) -> Any:
    """Read a file of ``torch.save``."""
    if _unsafe_allowed:
        print_log(f'--unsafe-load: {path} may run code', 'current', logging.WARNING)
    try:
        with safe_globals(ALLOWED):
            safe = not _unsafe_allowed
            return torch.load(path, map_location, weights_only=safe)  # noqa: TID251
    except (MemoryError, torch.OutOfMemoryError):
        raise
    except Exception as error:  # a damaged pickle can raise anything
        raise _explain(path, error) from error


def _explain(path: str, error: Exception) -> ValueError:
    """Return what is wrong with a file that ``torch.load`` does not read."""
    text = str(error)
    refused = re.search(r'GLOBAL (\S+)', text)
    told = re.search(r'WeightsUnpickler error:\s*(.+)', text)
    if refused:
        reason = f'it asks for {refused[1]}, which is no data'
    elif told:
        reason = told[1]
    else:
        reason = text.split('\n')[0] or type(error).__name__
    old_format = 'Cannot use ``weights_only=True``' in text
    unreadable = not isinstance(error, UnpicklingError) or 'Unsupported operand' in text
    if _unsafe_allowed or (unreadable and not old_format):
        return CorruptCheckpointError(f'{path} is damaged, or not a checkpoint: {reason}')
    return UnsafeCheckpointError(
        f'{path} was not loaded because it could run code: {reason}. '
        'If you trust its maker, add --unsafe-load'
    )


def _load_safetensors(path: str, device: str) -> dict[str, Any]:
    """Read the ``state_dict`` and the ``meta`` of a ``.safetensors`` file."""
    from safetensors import SafetensorError, safe_open  # not needed for other files

    try:
        with safe_open(path, framework='pt', device=device) as file:
            weights = {key: file.get_tensor(key) for key in file.keys()}  # noqa: SIM118
            meta = json.loads((file.metadata() or {}).get('meta', '{}'))
            data_set = meta.get('dataset_meta') or {}
            if data_set.get('palette'):  # JSON has no tuples, which visualizers want
                data_set['palette'] = [tuple(colour) for colour in data_set['palette']]
    except (SafetensorError, AttributeError, TypeError, ValueError) as error:
        raise CorruptCheckpointError(
            f'{path} is damaged, or not a safetensors file: {error}'
        ) from error
    return dict(state_dict=weights, meta=meta)


def _drop_code(content: Any, path: str) -> None:
    """Delete config texts, which mmengine would run, unless they are plain data."""
    # Operators alone: a pickle can give an OrderedDict methods of its own.
    meta = _part(content, 'meta')
    if 'config' in meta:
        del meta['config']
    for name, part in (
        ('meta', meta),
        ('message_hub.runtime_info', _part(_part(content, 'message_hub'), 'runtime_info')),
    ):
        if 'cfg' not in part:
            continue
        text = part['cfg']
        found = find_code(text) if isinstance(text, str) else 'no text'
        if found is not None:
            del part['cfg']
            print_log(
                f'{path}: {name}.cfg is left out, because it could run code: it has {found}',
                'current',
                logging.WARNING,
            )


def _part(content: Any, key: str) -> dict:
    """Return a dict inside of another one; an empty one if there is none."""
    if isinstance(content, dict) and key in content and isinstance(content[key], dict):
        return content[key]
    return {}


def _number_type(name: str, *copy: bool) -> np.dtype:
    """Return a type of numbers, for the pickle of an array.

    NumPy's own would also give types of objects, and copies, whose flags a pickle could change.
    """
    for dtype in NUMBERS:
        if name == dtype.str[1:]:
            return dtype
    raise UnpicklingError(f'GLOBAL numpy.dtype({name!r}) is no type of numbers')


def _statistic(owner: Any, name: str) -> Any:
    """Return a method of HistoryBuffer, for its pickle, which asks for ``getattr``."""
    if owner is not HistoryBuffer or name not in STATISTICS:
        raise UnpicklingError('GLOBAL getattr of anything but the statistics of a HistoryBuffer')
    return getattr(owner, name)


def _no_bytes() -> bytes:
    """Return the content of an array without elements, for its pickle, which asks for ``bytes``."""
    return b''


# What checkpoints of the family hold besides tensors and plain Python values.
ALLOWED: list[Any] = [
    HistoryBuffer,
    ConfigDict,
    np.ndarray,
    *{type(dtype) for dtype in NUMBERS},
    (_number_type, 'numpy.dtype'),
    (_statistic, 'builtins.getattr'),
    (_no_bytes, 'builtins.bytes'),
    *(
        (function, f'numpy.{core}.multiarray.{name}')
        for name, function in (
            ('_reconstruct', np.zeros(0).__reduce__()[0]),
            ('scalar', np.float64().__reduce__()[0]),
        )
        for core in ('core', '_core')  # NumPy 1 and 2
    ),
]
