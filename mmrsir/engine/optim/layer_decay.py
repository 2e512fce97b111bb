"""Learning rate and weight decay of each parameter, for the models of all three libraries."""

from collections.abc import Collection
from inspect import signature
from typing import Any

from mmengine.optim import DefaultOptimWrapperConstructor
from mmengine.registry import OPTIM_WRAPPER_CONSTRUCTORS, OPTIMIZERS
from torch import nn

from ...utils.errors import InvalidValueError


@OPTIM_WRAPPER_CONSTRUCTORS.register_module()
class LayerDecayOptimWrapperConstructor(DefaultOptimWrapperConstructor):
    """mmengine's rules for parameters, and layer-wise learning-rate decay of the backbone.

    ``paramwise_cfg`` takes what mmengine's constructor takes (``norm_decay_mult``,
    ``bias_decay_mult``, ``flat_decay_mult``, ``custom_keys``, …) and ``layer_decay_rate``:
    the learning rate of a block is that of the next block times this rate, the head's is the
    optimizer's. Learning-rate factors of ``custom_keys`` multiply with it. Parameters that a
    module names in ``no_weight_decay()``, as in timm, do not decay unless a pattern of
    ``custom_keys`` matches them. Parameters with equal settings share a group, which spares the
    optimizer hundreds of small steps.

    Raises:
        ValueError: ``layer_decay_rate`` is not above 0 and at most 1, the model has no backbone
            that knows its layers, or there is no learning rate to scale.
    """

    def __init__(self, optim_wrapper_cfg: dict, paramwise_cfg: dict | None = None) -> None:
        rules = dict(paramwise_cfg or {})
        self.layer_decay_rate = rules.pop('layer_decay_rate', 1.0)
        if not 0 < self.layer_decay_rate <= 1:
            raise InvalidValueError(
                f'layer_decay_rate={self.layer_decay_rate} must be above 0 and at most 1'
            )
        rules.setdefault('custom_keys', {})  # without any rule mmengine would skip add_params
        try:
            super().__init__(optim_wrapper_cfg, rules)
        except ValueError as error:
            if 'base_wd' not in str(error):
                raise
            raise InvalidValueError(
                'paramwise_cfg multiplies a weight decay, and the optimizer has none: set '
                'optim_wrapper.optimizer.weight_decay, 0 for none'
            ) from error
        self.base_lr: float | None = self.optimizer_cfg.get('lr')  # what the rules multiply
        if self.base_lr is None:
            self.base_lr = _default_learning_rate(self.optimizer_cfg['type'])

    def add_params(
        self, params: list[dict], module: nn.Module, prefix: str = '', **kwargs: Any
    ) -> None:
        super().add_params(params, module, prefix, **kwargs)
        if prefix:  # mmengine's method calls this one for each child
            return
        names = {id(parameter): name for name, parameter in module.named_parameters()}
        exempt = _exempt_from_decay(module)
        for group in params:
            if id(group['params'][0]) in exempt:
                group.setdefault('weight_decay', 0.0)
            scale = self._scale(module, names[id(group['params'][0])])
            if scale != 1:
                if group.setdefault('lr', self.base_lr) is None:
                    raise InvalidValueError(
                        f'layer_decay_rate={self.layer_decay_rate} multiplies the learning rate, '
                        f'for which {self.optimizer_cfg["type"]} has no default: '
                        'set optim_wrapper.optimizer.lr'
                    )
                group['lr'] = group['lr'] * scale  # a tensor may be of all groups
        params[:] = _merge(params)

    def _scale(self, model: nn.Module, name: str) -> float:
        if self.layer_decay_rate == 1:
            return 1.0
        backbone = getattr(model, 'backbone', None)
        if backbone is None or not hasattr(backbone, 'get_layer_depth'):
            raise InvalidValueError(
                f'layer_decay_rate={self.layer_decay_rate} needs a backbone with get_layer_depth, '
                f'as ours have, but {type(model).__name__}.backbone is {type(backbone).__name__}: '
                'leave layer_decay_rate out'
            )
        depth, num_layers = backbone.get_layer_depth(name, 'backbone.')
        return self.layer_decay_rate ** (num_layers - 1 - depth)


def _default_learning_rate(optimizer: str | type) -> float | None:
    kind = OPTIMIZERS.get(optimizer) if isinstance(optimizer, str) else optimizer
    parameter = signature(kind).parameters.get('lr') if kind else None
    default = parameter.default if parameter else None
    return default if isinstance(default, (int, float)) else None


def _exempt_from_decay(model: nn.Module) -> set[int]:
    exempt: set[int] = set()
    for module in model.modules():
        names: Collection[str] = getattr(module, 'no_weight_decay', tuple)()
        exempt.update(id(p) for name, p in module.named_parameters() if name in names)
    return exempt


def _merge(params: list[dict]) -> list[dict]:
    """Return groups of which no two have the same settings, in the order of their first."""
    merged: dict[str, dict] = {}
    for group in params:
        settings = repr(sorted((key, group[key]) for key in group if key != 'params'))
        if settings in merged:
            merged[settings]['params'].extend(group['params'])
        else:
            merged[settings] = group
    return list(merged.values())
