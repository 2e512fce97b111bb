"""Checkpoints: reading them, and how far they match a model."""

import logging
import re
from collections import OrderedDict
from collections.abc import Mapping
from typing import Any, NamedTuple

from mmengine.logging import print_log
from torch import Tensor, nn

from ..utils.errors import InvalidValueError, UserError
from ..utils.listing import first_ten
from ..utils.run_log import log_information
from ..utils.suggestions import did_you_mean
from .remote import load_checkpoint

SHOWN_KEYS = 5
NOTHING = r'(?!)'  # the pattern that fits no key


class CheckpointMismatchError(UserError, ValueError):
    """Too few parameters of a model are in a checkpoint."""


class Match(NamedTuple):
    """How far the weights of a checkpoint match a model.

    Args:
        matched: Keys of the model that the checkpoint has, in the same shape.
        missing: Keys of the model that it does not have.
        mismatched: Keys that it has in another shape.
        unexpected: Keys of the checkpoint that the model does not have.
        share: Share of the model's weights that are matched, counted in elements, 0 to 1.
    """

    matched: list[str]
    missing: list[str]
    mismatched: list[str]
    unexpected: list[str]
    share: float

    def describe(self) -> str:
        """Return the report that goes to the log."""
        share = f'{self.share:.1%}'
        if self.missing or self.mismatched:
            share = share.replace('100.0%', 'nearly all')
        lines = [f'{share} of the weights matched ({len(self.matched)} keys)']
        for name in ('missing', 'mismatched', 'unexpected'):
            keys = getattr(self, name)
            if keys:
                rest = len(keys) - SHOWN_KEYS
                more = f' and {rest} more' if rest > 0 else ''
                lines.append(f'{len(keys)} {name}: {", ".join(keys[:SHOWN_KEYS])}{more}')
        return '; '.join(lines)


def match_weights(module: nn.Module, weights: Mapping[str, Tensor]) -> Match:
    """Compare weights with what a module has.

    Counters such as ``num_batches_tracked`` are left out, as in mmengine.
    """
    wanted, given = (
        {key: value for key, value in each.items() if not key.endswith('num_batches_tracked')}
        for each in (module.state_dict(), weights)
    )
    missing = [key for key in wanted if key not in given]
    mismatched = [key for key in wanted if key in given and given[key].shape != wanted[key].shape]
    failed = {*missing, *mismatched}
    matched = [key for key in wanted if key not in failed]
    unexpected = [key for key in given if key not in wanted]
    total = sum(value.numel() for value in wanted.values())
    share = sum(wanted[key].numel() for key in matched) / max(1, total)
    return Match(matched, missing, mismatched, unexpected, share)


def check_match(
    match: Match, source: str, min_matched: float, fresh_weights: str = NOTHING
) -> None:
    """Log how far a checkpoint matches, and refuse one that matches too little.

    The message is a warning where something fails to match, but for missing keys that fit the
    pattern ``fresh_weights``. ``min_matched`` is a share of the model's weights, 0 to 1.
    """
    message = f'{source}: {match.describe()}'
    if match.share < min_matched:
        raise CheckpointMismatchError(
            f'{message}; at least min_matched={min_matched:.1%} is required. Is it a checkpoint of '
            'this model?'
        )
    if match.mismatched or not all(re.match(fresh_weights, key) for key in match.missing):
        print_log(message, logger='current', level=logging.WARNING)
    else:
        log_information(message)


def check_complete(match: Match, module: nn.Module, source: str, otherwise: str = '') -> None:
    """Refuse a checkpoint that would leave a part random that predicts, as auxiliary heads do not.

    ``source`` says where the weights come from; ``otherwise`` is the end of the message.
    """
    parameters = {
        name for name, _ in module.named_parameters() if not name.startswith('auxiliary_head')
    }
    random = [key for key in (*match.missing, *match.mismatched) if key in parameters]
    if random:
        raise CheckpointMismatchError(
            f'{source} has no weights for {first_ten(random)}: they would be random, and the '
            'results would mean nothing. Name a checkpoint that was trained with this config and '
            f'the same number of classes{otherwise}'
        )


def load_pretrained(
    module: nn.Module, checkpoint: str, prefix: str | None = None, min_matched: float = 0.9
) -> Match:
    """Load weights into a part of a model, such as a classifier's backbone into a detector's.

    Args:
        module: The part.
        checkpoint: File (``.pth`` or ``.safetensors``) of the whole model's weights, or its
            address.
        prefix: What the part's keys begin with in the checkpoint. None: ``'backbone.'`` if
            there are such keys, else nothing.
        min_matched: Smallest share of the part's weights that the checkpoint must have.

    Returns:
        What matched.

    Raises:
        CheckpointMismatchError: Less is matched; names the prefixes that the file has.
        FileNotFoundError: There is no such file.
        UnsafeCheckpointError: It asks for more than data.
    """
    weights = read_checkpoint(checkpoint)['state_dict']
    if prefix is None:
        prefix = 'backbone.' if any(key.startswith('backbone.') for key in weights) else ''
    elif prefix and not prefix.endswith('.'):
        prefix += '.'
    part = {key[len(prefix) :]: value for key, value in weights.items() if key.startswith(prefix)}
    source = f'pretrained weights {checkpoint}, prefix {prefix!r}'
    if not part:
        prefixes = sorted({f'{key.split(".")[0]}.' for key in weights})
        raise CheckpointMismatchError(
            f'{source}: no key begins with this prefix; the file has {", ".join(prefixes)}'
            f'{did_you_mean(prefix, prefixes, cutoff=0)}'
        )
    match = match_weights(module, part)
    check_match(match, source, min_matched, getattr(module, 'fresh_weights', NOTHING))
    module.load_state_dict({key: part[key] for key in match.matched}, strict=False)
    return match


def read_checkpoint(path: str) -> dict[str, Any]:
    """Read a checkpoint, a file (``.pth`` or ``.safetensors``) or an address, to the CPU.

    The weights by key are in ``'state_dict'``, without the ``module.`` of a wrapped model.

    Raises:
        FileNotFoundError: There is no such file.
        UnsafeCheckpointError: It asks for more than data.
        ValueError: It is damaged, or holds no weights.
    """
    content = load_checkpoint(path)
    if isinstance(content, Mapping) and 'state_dict' not in content:
        bare = content.get('model')  # as in Swin's and DeiT's own
        content = dict(state_dict=bare if isinstance(bare, Mapping) else content)
    weights = content['state_dict'] if isinstance(content, Mapping) else None
    if not weights or not all(isinstance(value, Tensor) for value in weights.values()):
        raise InvalidValueError(f'{path} is not a checkpoint: it holds no dict of weights')
    return dict(content, state_dict=strip_wrapper(weights))


def strip_wrapper(weights: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Return weights by the model's own keys, without the ``module.`` that DDP puts before them."""
    stripped = OrderedDict((key.removeprefix('module.'), value) for key, value in weights.items())
    if hasattr(weights, '_metadata'):  # versions of the modules, by which torch renames old keys
        stripped._metadata = weights._metadata  # type: ignore[attr-defined]
    return stripped
