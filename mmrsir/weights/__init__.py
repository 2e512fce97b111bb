"""Trained weights by name, wherever OpenMMLab takes a checkpoint: ``mmrsir://rsir_n_tinyimagenet``.

Weights that come with the package lie in this folder, each with a model card beside it. Larger
ones are files of a release: once you have put one into :func:`download_folder`, it has a name, too.

Example:
    init_cfg=dict(type='Pretrained', checkpoint='mmrsir://rsir_n_tinyimagenet')
"""

import os
import re
from pathlib import Path
from typing import Any

from mmengine.runner import CheckpointLoader

from ..checkpoints.safe_loading import load_file
from ..utils.errors import UserError
from ..utils.suggestions import did_you_mean

SCHEME = 'mmrsir://'
PACKAGED = Path(__file__).parent
SUFFIXES = ('.safetensors', '.pth')
HASH = re.compile(r'-[0-9a-f]{8}$')  # which publish_model.py adds to a name


class UnknownWeightsError(UserError, FileNotFoundError):
    """There are no weights of this name."""


def download_folder() -> Path:
    """Return the folder for downloaded weights: ``$MMRSIR_CACHE/weights``.

    ``MMRSIR_CACHE`` is ``~/.cache/mmrsir`` by default.
    """
    return Path(os.environ.get('MMRSIR_CACHE', '~/.cache/mmrsir')).expanduser() / 'weights'


def available() -> dict[str, Path]:
    """Return the weights that are there, by name."""
    return {
        HASH.sub('', path.stem): path
        for folder in (download_folder(), PACKAGED)
        if folder.is_dir()
        for path in sorted(folder.iterdir())
        if path.suffix in SUFFIXES
    }


@CheckpointLoader.register_scheme(prefixes=SCHEME, force=True)
def load_by_name(filename: str, map_location: Any = None) -> Any:
    """Read weights by name, for mmengine's loader.

    Args:
        filename: ``mmrsir://<name>``.
        map_location: Device of the tensors, as for ``torch.load``; None: the CPU.

    Returns:
        What :func:`mmrsir.checkpoints.safe_loading.load_file` returns.

    Raises:
        UnknownWeightsError: There are none of this name; says which there are, and where others
            go.
        CorruptCheckpointError: The file is damaged.
    """
    name = filename.removeprefix(SCHEME)
    found = available()
    if name not in found:
        hint = did_you_mean(name, found, shown=SCHEME.__add__) or '.'
        raise UnknownWeightsError(
            f'no weights named {name} are here{hint} '
            f'Available: {", ".join(sorted(found)) or "none"}. Weights of a release: download '
            f'{name}-<hash>.safetensors and put it into {download_folder()}.'
        )
    return load_file(str(found[name]), map_location)
