"""Settings that only the built model can tell right from wrong."""

import logging
import os
from collections.abc import Sequence
from typing import Any

import torch
from mmengine.config import Config
from mmengine.logging import print_log
from torch import nn

from ...checkpoints.reading import load_pretrained, read_checkpoint
from ...models.pretrained import PretrainedModule
from ...utils.listing import first_ten
from ...utils.suggestions import did_you_mean
from ..hooks.checkpoint_match import unwrap
from .paths import is_pretrained
from .refusal import ConfigError

# What predicts the classes: of heads of regions, of queries, and of classifiers.
LAST_LAYERS = ('fc_cls', 'cls_embed', 'fc')
# Losses of classes, and lists of them; others, such as of borders, have classes of their own.
LOSSES = ('loss', 'losses', 'loss_cls', 'loss_decode', 'loss_module')
# An RPN tells objects from the rest; a semantic head beside a detector also has classes of stuff.
OTHER_HEADS = ('rpn_head', 'semantic')


def check_model(model: nn.Module, cfg: Config) -> None:
    """Check what a training will do with a model.

    Patterns of ``paramwise_cfg.custom_keys`` that match no parameter are warned of. Weights of
    classes must be as many as the head predicts. Heads of a region, the loss of a head, and what
    mixes images must have the same number of classes.
    """
    _check_losses(model)
    _check_mixed_images(model)
    _check_region_heads(model)
    paramwise = (cfg.get('optim_wrapper') or {}).get('paramwise_cfg') or {}
    _check_custom_keys(model, paramwise.get('custom_keys') or {})
    for module in model.modules():
        for settings in _initializations(module):
            if is_pretrained(settings) and settings.get('prefix'):
                _check_prefix(module, settings.get('checkpoint'), settings['prefix'])


def check_classes(model: nn.Module, loader: str, classes: Sequence[str] | None) -> None:
    """Check that the heads of a model predict the classes of a data set.

    Another number is warned of, no more: heads for borders, depth, or classes of things alone have
    numbers of their own.
    """
    if isinstance(classes, str):
        raise ConfigError(
            f'{loader}: classes={classes!r} of the data set must be a list of names; '
            f'write a single name as ({classes!r},)'
        )
    if classes is None:
        return
    for place, head in class_heads(model).items():
        if head.num_classes != len(classes):
            what_to_do = f'If this head predicts them, set num_classes={len(classes)}'
            if loader != 'train_dataloader':  # it may just lack some of those of training
                what_to_do = 'Make sure that its labels stand for the same classes as in training'
            print_log(
                f'model.{place}.num_classes={head.num_classes}, but the data set of {loader} has '
                f'{len(classes)} classes: {first_ten([str(one) for one in classes])}. {what_to_do}',
                logger='current',
                level=logging.WARNING,
            )


def class_heads(model: nn.Module) -> dict[str, Any]:
    """Return the heads of a model that predict the classes of its data, by their places."""
    return {
        place: head
        for place, head in unwrap(model).named_modules()
        if 'head' in place
        and not any(part in place for part in OTHER_HEADS)
        and getattr(head, 'num_classes', None) is not None
        and not getattr(head, 'class_agnostic', False)
    }


def _check_losses(model: nn.Module) -> None:
    modules = dict(unwrap(model).named_modules())
    for place, loss in modules.items():
        if place.rstrip('.0123456789').rpartition('.')[2] not in LOSSES:
            continue
        parents = [place[:index] for index, letter in enumerate(place) if letter == '.']
        heads = [modules[one] for one in parents if _number(modules[one])]
        number = _number(loss)
        if heads and number and number != heads[-1].num_classes:
            raise ConfigError(
                f'model.{place}.num_classes={number}, but its head has num_classes='
                f'{heads[-1].num_classes}: both must be the same'
            )
        for name in ('class_weight', 'pos_weight'):
            weights = getattr(loss, name, None)
            one_for_all = isinstance(weights, torch.Tensor) and weights.dim() == 0
            if not heads or one_for_all or not isinstance(weights, (list, tuple, torch.Tensor)):
                continue
            allowed = _numbers_of_weights(heads[-1])
            if len(weights) not in allowed and (name, len(weights)) != ('pos_weight', 1):
                needed = ' or '.join(map(str, sorted(allowed)))
                raise ConfigError(
                    f'model.{place}.{name} has {len(weights)} weights, but its head needs '
                    f'{needed}: one for each of its {heads[-1].num_classes} classes, and for the '
                    'background where it predicts one'
                )


def _number(module: Any) -> int:
    """Return a number of classes; 0 where it is not known, for which libraries write None or -1."""
    number = getattr(module, 'num_classes', None)
    return max(number, 0) if isinstance(number, int) else 0


def _numbers_of_weights(head: Any) -> set[int]:
    for name in LAST_LAYERS:
        if isinstance(layer := getattr(head, name, None), nn.Linear):
            return {layer.out_features}
    if hasattr(head, 'cls_out_channels'):
        return {head.cls_out_channels}
    # Heads that are not known may predict the background too.
    return {head.num_classes, getattr(head, 'out_channels', None) or head.num_classes + 1}


def _check_mixed_images(model: nn.Module) -> None:
    preprocessor = getattr(unwrap(model), 'data_preprocessor', None)
    if getattr(preprocessor, 'batch_augments', None) is None:
        return
    number = getattr(preprocessor, 'num_classes', None)
    for place, head in class_heads(model).items():
        if '.' not in place and number not in (None, head.num_classes):
            raise ConfigError(
                f'data_preprocessor.num_classes={number}, but model.{place}.num_classes='
                f'{head.num_classes}: where images are mixed (batch_augments) both must be the same'
            )


def _check_region_heads(model: nn.Module) -> None:
    regions = getattr(unwrap(model), 'roi_head', None)
    heads = class_heads(regions) if isinstance(regions, nn.Module) else {}
    heads = {place: one for place, one in heads.items() if place.startswith(('bbox_', 'mask_'))}
    if len({head.num_classes for head in heads.values()}) > 1:
        told = ', '.join(
            f'model.roi_head.{place}.num_classes={one.num_classes}' for place, one in heads.items()
        )
        raise ConfigError(f'{told}: the heads of a region must predict the same classes')


def _check_custom_keys(model: nn.Module, custom_keys: dict[str, Any]) -> None:
    names = [name for name, _ in model.named_parameters()]
    # mmengine matches a parameter of the model itself with a dot before its name.
    searched = [name if '.' in name else f'.{name}' for name in names]
    parts = {part for name in names for part in name.split('.')}
    for key in custom_keys:
        if any(key in name for name in searched):
            continue
        print_log(
            f'paramwise_cfg.custom_keys: {key!r} matches no parameter{did_you_mean(key, parts)}',
            logger='current',
            level=logging.WARNING,
        )


def _initializations(module: nn.Module) -> list[dict[str, Any]]:
    if isinstance(module, PretrainedModule):
        return module.pretrained
    given = getattr(module, 'init_cfg', None) or []
    return [given] if isinstance(given, dict) else list(given)


def _check_prefix(module: nn.Module, checkpoint: Any, prefix: str) -> None:
    if not isinstance(checkpoint, str) or not os.path.isfile(checkpoint):
        return
    weights = read_checkpoint(checkpoint)['state_dict']
    if not any(key.startswith(f'{prefix.removesuffix(".")}.') for key in weights):
        load_pretrained(module, checkpoint, prefix)  # refuses it, and says which there are
