"""Parameters and multiply-adds of a model, attention included.

As usual in this field, "FLOPs" are multiply-adds (MACs): mmengine's counter and the
papers count them so. mmengine's counter has no handler for
``scaled_dot_product_attention`` and would count the products of attention as 0.
"""

from copy import deepcopy
from functools import partial
from typing import Any, NamedTuple

import torch
from mmengine.analysis import FlopAnalyzer
from mmengine.config import Config
from mmengine.registry import MODELS, init_default_scope
from mmengine.structures import BaseDataElement
from torch import Tensor, nn


class Complexity(NamedTuple):
    """Cost of a model.

    Args:
        params: Number of parameters.
        flops: Multiply-adds of one forward pass with one image.
    """

    params: int
    flops: float


def attention_flops(inputs: list[Any], outputs: list[Any]) -> int:
    """Count the two products of attention: scores, and weights times values.

    Args:
        inputs: Traced values of query (…, n, d), key (…, m, d) and value (…, m, d).
        outputs: Traced values of the result; unused.

    Returns:
        Multiply-adds.
    """
    query, key, value = (operand.type().sizes() for operand in inputs[:3])
    batch = 1
    for size in query[:-2]:
        batch *= size
    return batch * query[-2] * key[-2] * (query[-1] + value[-1])


def count_module(module: nn.Module, image: Tensor) -> Complexity:
    """Measure a module.

    Args:
        module: Module in evaluation mode.
        image: Input of its forward pass, (1, 3, H, W).

    Returns:
        Its cost.
    """
    analyzer = FlopAnalyzer(module, image)
    analyzer.set_op_handle(**{'aten::scaled_dot_product_attention': attention_flops})
    analyzer.unsupported_ops_warnings(False).uncalled_modules_warnings(False)
    with torch.no_grad():
        flops = analyzer.total()
    return Complexity(sum(p.numel() for p in module.parameters()), flops)


def count_config(cfg: Config, height: int, width: int) -> Complexity:
    """Measure the model of a config of mmdet, mmseg or mmpretrain.

    A two-stage detector is measured with all proposals that its test settings allow
    (``rpn.max_per_img``), as no proposal is suppressed.

    Args:
        cfg: The config.
        height: Height of the image in pixels.
        width: Width of the image in pixels.

    Returns:
        Its cost.
    """
    init_default_scope(cfg.default_scope)
    cfg = deepcopy(cfg)
    if 'rpn' in (cfg.model.get('test_cfg') or {}):
        cfg.model.test_cfg.rpn.nms.iou_threshold = 1.0
    model = MODELS.build(cfg.model).eval()
    shape = dict(
        img_shape=(height, width),
        ori_shape=(height, width),
        batch_input_shape=(height, width),
        pad_shape=(height, width),
        scale_factor=(1.0, 1.0),
    )
    # The tracer takes tensors only.
    model.forward = partial(model.forward, data_samples=[BaseDataElement(metainfo=shape)])
    return count_module(model, torch.zeros(1, 3, height, width))
