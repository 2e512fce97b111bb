"""Make a training checkpoint into files to publish: what testing needs, and nothing private.

Such a file is called ``<name>-<hash>``, as OpenMMLab's are: the hash is the first 8 hexadecimal
digits of the SHA-256 of the file's own bytes, so that a download can be checked.
"""

import hashlib
import io
import json
import re
from pathlib import Path
from typing import Any, NamedTuple

import torch
from safetensors.torch import save as save_safetensors
from torch import Tensor

from ..utils.errors import InvalidValueError
from ..utils.files import write_whole
from ..version import __version__
from .config_text import read_settings
from .reading import read_checkpoint

# Whatever else a runner or a hook adds, optimizers and averages included, only serves training.
# Of an average, `state_dict` has the averaged weights: EMAHook exchanges them when it saves.
KEPT = ('state_dict', 'meta')
KEPT_META = ('dataset_meta', 'cfg', 'epoch', 'iter', 'mmengine_version', 'mmrsir_version')
# Settings that say where somebody trained, and to whom the training reported.
PRIVATE_SETTINGS = ('work_dir', 'load_from', 'experiment_name', 'vis_backends')
ABSOLUTE_PATH = re.compile(r'~|/|\\|[A-Za-z]:[\\/]|file:')
BACKBONE = 'backbone.'


class Publication(NamedTuple):
    files: list[Path]  # the .pth and the .safetensors file, of equal content
    removed: list[str]  # what they lack, for people to read


def publish(
    in_file: str, out_file: str, backbone_only: bool = False, half: bool = False
) -> Publication:
    """Publish a checkpoint of mmdet, mmseg or mmpretrain, whole or its backbone's weights alone.

    ``out_file`` is the folder, which is made, and the name of the published files, without hash; a
    suffix ``.pth`` or ``.safetensors`` does not count. ``half`` rounds the weights to half
    precision; models that load them stay in theirs.
    """
    checkpoint, removed = strip_checkpoint(read_checkpoint(in_file), backbone_only)
    if half:
        checkpoint['state_dict'] = to_half(checkpoint['state_dict'])
    stem = Path(re.sub(r'\.(pth|safetensors)$', '', out_file))
    contents = {}
    for suffix, write in FORMATS.items():
        content = write(checkpoint)
        digest = hashlib.sha256(content).hexdigest()[:8]
        contents[stem.with_name(f'{stem.name}-{digest}{suffix}')] = content
    for path, content in contents.items():
        if path.exists() and path.read_bytes() != content:
            raise FileExistsError(
                f'{path} exists with other content and is not replaced: choose another name'
            )
    write_whole(contents)
    return Publication(list(contents), removed)


def strip_checkpoint(
    checkpoint: dict[str, Any], backbone_only: bool = False
) -> tuple[dict[str, Any], list[str]]:
    """Keep of a checkpoint what testing needs; also return what was removed."""
    removed = [
        f'{key} ({len(to_pth(value)) / 1e6:.2f} MB)'
        for key, value in checkpoint.items()
        if key not in KEPT
    ]
    weights: dict[str, Tensor] = checkpoint['state_dict']
    if backbone_only:
        kept = {key: value for key, value in weights.items() if key.startswith(BACKBONE)}
        if not kept:
            prefixes = sorted({f'{key.split(".")[0]}.' for key in weights})
            raise InvalidValueError(
                f'there is no backbone: no key begins with {BACKBONE}; the file has '
                f'{", ".join(prefixes)}. Publish without --backbone-only'
            )
        if len(kept) < len(weights):
            removed.append(f'state_dict: {len(weights) - len(kept)} keys outside the backbone')
        weights = kept

    meta = {'mmrsir_version': __version__, **(checkpoint.get('meta') or {})}
    removed += [f'meta.{key}' for key in meta if key not in KEPT_META]
    meta = {key: meta[key] for key in KEPT_META if key in meta}
    if 'cfg' in meta:
        try:
            meta['cfg'], removed_settings = strip_settings(meta['cfg'])
            removed += [f'meta.cfg: {name}' for name in removed_settings]
        except (SyntaxError, ValueError):  # objects in place of names, of a config without a file
            del meta['cfg']
            removed.append('meta.cfg, which cannot be read')
    # A copy has a storage of its own: views and shared tensors would bring along more, or fail.
    weights = {key: value.detach().clone().contiguous() for key, value in weights.items()}
    return dict(meta=meta, state_dict=weights), removed


def to_half(weights: dict[str, Tensor]) -> dict[str, Tensor]:
    """Round weights to half precision, but for integers; it holds none above 65,504."""
    rounded = {
        key: value.half() if value.is_floating_point() else value for key, value in weights.items()
    }
    for key, value in rounded.items():
        if not torch.equal(value.isfinite(), weights[key].isfinite()):
            raise InvalidValueError(
                f'{key} has values above {torch.finfo(torch.half).max:g}, which half precision '
                'does not hold; publish without --half'
            )
    return rounded


def strip_settings(text: str) -> tuple[str, list[str]]:
    """Remove what is private from a config's text, and the folders of absolute paths.

    Also returns what was removed. Raises SyntaxError or ValueError where the text is more than
    plain values.
    """
    removed: dict[str, None] = {}  # a set that keeps its order

    def clean(value: Any) -> Any:
        if isinstance(value, dict):
            private = dict.fromkeys(key for key in value if key in PRIVATE_SETTINGS)
            removed.update(private)
            return {clean(key): clean(one) for key, one in value.items() if key not in private}
        if isinstance(value, (list, tuple, set)):
            return type(value)(map(clean, value))
        if isinstance(value, str) and ABSOLUTE_PATH.match(value):
            name = re.split(r'[\\/]', value.rstrip('\\/'))[-1]
            removed[f'the folders above {name!r}'] = None
            return name
        return value

    settings = clean(read_settings(text))
    return '\n'.join(f'{name} = {value!r}' for name, value in settings.items()), list(removed)


def to_pth(content: Any) -> bytes:
    """Return what ``torch.save`` writes."""
    buffer = io.BytesIO()  # a file's own name would get into its bytes
    torch.save(content, buffer)
    return buffer.getvalue()


def to_safetensors(checkpoint: dict[str, Any]) -> bytes:
    """Return a ``.safetensors`` file: equal bytes for equal content, ``meta`` as JSON."""
    metadata = {'format': 'pt', 'meta': json.dumps(checkpoint['meta'])}
    content = save_safetensors(checkpoint['state_dict'], metadata)
    # The library orders the metadata by chance, and the hash would change each time.
    end = 8 + int.from_bytes(content[:8], 'little')
    header = {**json.loads(content[8:end]), '__metadata__': metadata}
    text = json.dumps(header).encode()
    text += b' ' * (-len(text) % 8)
    return len(text).to_bytes(8, 'little') + text + content[end:]


FORMATS = {'.pth': to_pth, '.safetensors': to_safetensors}
