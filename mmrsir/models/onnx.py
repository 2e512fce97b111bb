"""What ``torch.onnx.export`` must be told to write the backbone as ONNX."""

from collections.abc import Callable
from typing import Any

import torch

from .order import fixed_order


def onnx_translations() -> dict[Callable, Callable]:
    """Return the translations of operators that torch's exporter lacks.

    Needs ``onnx`` and ``onnxscript``. The size of the images is that of the export:
    ``torch.onnx.export(model.eval(), (images,), path, dynamo=True,
    custom_translation_table=onnx_translations())``.

    Returns:
        The argument ``custom_translation_table`` of ``torch.onnx.export``.
    """
    from onnx.numpy_helper import from_array
    from onnxscript import opset18

    op: Any = opset18  # its types stand for graphs of one type of numbers

    def translate_order(seed: int, block: int, num_tokens: int, device: torch.device) -> Any:
        order_L = fixed_order(seed, block, num_tokens, torch.device('cpu'))
        return op.Constant(value=from_array(order_L.numpy()))

    def translate_sort(x: Any, stable: bool, dim: int = -1, descending: bool = False) -> Any:
        length = op.Gather(op.Shape(x), op.Constant(value_ints=[dim]))
        # Of equal values TopK puts the one of the lower index first, as a stable sort does.
        return op.TopK(x, length, axis=dim, largest=int(descending), sorted=1)

    return {
        torch.ops.mmrsir.fixed_order.default: translate_order,
        torch.ops.aten.sort.stable: translate_sort,
    }
