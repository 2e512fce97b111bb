"""Parameters, multiply-adds, and sorted and moved elements of a model.

What this field calls "FLOPs" are multiply-adds of linear layers, convolutions and matrix
products, the two of attention included. Normalizations, activations, interpolation and
pooling count 0.

Sorts, gathers and scatters multiply nothing, so they count 0 too: only then do the figures
compare with published ones. As they are what RSIR adds to plain window attention, the number
of elements that they sort and move is reported beside the multiply-adds.
"""

from collections.abc import Callable, Collection
from copy import deepcopy
from math import prod
from typing import Any, NamedTuple

import torch
from mmengine.config import Config
from mmengine.registry import MODELS, init_default_scope
from mmengine.structures import BaseDataElement
from torch import Tensor, nn
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_map_only
from torch.utils.flop_counter import FlopCounterMode, flop_registry, sdpa_flop_count

from ..models.windows import kernels

aten = torch.ops.aten


class Complexity(NamedTuple):
    """Cost of a model; all but the parameters for one forward pass with one image."""

    params: int
    flops: int  # multiply-adds
    sorted_elements: int
    moved_elements: int  # by gathers, index selections and scatters


def _indexed_attention(qkv: Any, places: Any, num_heads: int, window_tokens: int, **_: Any) -> int:
    _, num_tokens, channels = qkv
    return 4 * prod(places) * min(window_tokens, num_tokens) * channels // 3


# Formulas take shapes in place of tensors. Torch's own, which count products, stay as they are, but
# leave out the CPU's fused attention and our kernel for CUDA.
ATTENTION: dict[Any, Callable[..., int]] = {
    aten._scaled_dot_product_flash_attention_for_cpu: (
        lambda query, key, value, *_, **__: sdpa_flop_count(query, key, value)
    ),
}
if kernels is not None:
    ATTENTION[torch.ops.mmrsir.attend_indexed] = _indexed_attention
SORTS: dict[Any, Callable[..., int]] = {
    aten.sort: lambda sequence, *_, **__: prod(sequence),  # argsort calls it
}
MOVES: dict[Any, Callable[..., int]] = {
    aten.gather: lambda *_, out_shape, **__: prod(out_shape),
    aten.index_select: lambda *_, out_shape, **__: prod(out_shape),
    aten.scatter: lambda target, dim, index, *_, **__: prod(index),
    aten.scatter_: lambda target, dim, index, *_, **__: prod(index),
}
PRODUCTS = {*flop_registry, *ATTENTION}


class _ShapesOfProducts(TorchDispatchMode):
    """Give products zeros of the right shape, as their cost does not depend on values.

    All else is computed: the proposals of a detector decide what its heads are given.
    """

    def __torch_dispatch__(
        self, func: Any, types: Any, args: tuple[Any, ...] = (), kwargs: Any = None
    ) -> Any:
        kwargs = kwargs or {}
        if func.overloadpacket not in PRODUCTS:
            return func(*args, **kwargs)
        device = args[0].device
        args, kwargs = tree_map_only(Tensor, lambda operand: operand.to('meta'), (args, kwargs))
        results = func(*args, **kwargs)
        return tree_map_only(Tensor, lambda one: torch.zeros_like(one, device=device), results)


def count_module(module: nn.Module, image: Tensor, **inputs: Any) -> Complexity:
    """Measure a module in evaluation mode with an image, (1, 3, H, W).

    Its outputs are meaningless meanwhile, as products are not computed.
    """
    counter = FlopCounterMode(display=False, custom_mapping={**ATTENTION, **SORTS, **MOVES})
    with torch.no_grad(), _ShapesOfProducts(), counter:
        module(image, **inputs)
    counts = counter.get_flop_counts().get('Global', {})

    def total(operations: Collection[Any]) -> int:
        return sum(counts.get(operation, 0) for operation in operations)

    return Complexity(
        params=sum(parameter.numel() for parameter in module.parameters()),
        flops=total(PRODUCTS) // 2,  # torch counts a multiplication and an addition as two
        sorted_elements=total(SORTS),
        moved_elements=total(MOVES),
    )


def count_config(cfg: Config, height: int, width: int) -> Complexity:
    """Measure the model of a config of mmdet, mmseg or mmpretrain.

    A two-stage detector is measured with all proposals that its test settings allow
    (``rpn.max_per_img``), as no proposal is suppressed.
    """
    init_default_scope(cfg.default_scope)
    cfg = deepcopy(cfg)
    if 'rpn' in (cfg.model.get('test_cfg') or {}):
        cfg.model.test_cfg.rpn.nms.iou_threshold = 1.0
    # Detectors need values to choose proposals; for the others shapes are enough.
    device = 'cpu' if cfg.default_scope == 'mmdet' else 'meta'
    model = MODELS.build(cfg.model).eval().to(device)
    shapes = ('img_shape', 'ori_shape', 'batch_input_shape', 'pad_shape')
    meta = dict(dict.fromkeys(shapes, (height, width)), scale_factor=(1.0, 1.0))
    image = torch.zeros(1, 3, height, width, device=device)
    return count_module(model, image, data_samples=[BaseDataElement(metainfo=meta)])
