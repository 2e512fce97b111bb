"""What ``torch.onnx.export`` must be told to write heads of the libraries as ONNX.

A backbone of ours needs none of it: ``torch.onnx.export(model, (images,), path, dynamo=True)``.
"""

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import torch


def onnx_translations() -> dict[Callable, Callable]:
    """Return the translations of operators that torch's exporter lacks.

    Two cases need them: pooling to a fixed size, as in UPerNet, of images of any size, and a
    program of ``torch.export`` that is handed to ``torch.onnx.export``. Needs ``onnxscript``:
    ``torch.onnx.export(…, dynamo=True, custom_translation_table=onnx_translations())``.

    Returns:
        The argument ``custom_translation_table`` of ``torch.onnx.export``.
    """
    from onnx.numpy_helper import from_array
    from onnxscript import opset18

    op: Any = opset18  # its types stand for graphs of one type of numbers

    def translate_sort(x: Any, stable: bool, dim: int = -1, descending: bool = False) -> Any:
        length = op.Gather(op.Shape(x), op.Constant(value_ints=[dim]))
        # Of equal values TopK puts the one of the lower index first, as a stable sort does.
        return op.TopK(x, length, axis=dim, largest=int(descending), sorted=1)

    def translate_pooling(x: Any, output_size: Sequence[int]) -> Any:
        # A cell is the mean of the rows and columns from floor(i n / m) to ceil((i + 1) n / m):
        # a product with a matrix of shares on each side.
        rows, columns = (
            _shares(x, dim, size) for dim, size in zip((2, 3), output_size, strict=True)
        )
        return op.MatMul(op.MatMul(rows, x), op.Transpose(columns, perm=[1, 0]))

    def _shares(x: Any, dim: int, size: int) -> Any:
        zero, one = op.Constant(value_int=0), op.Constant(value_int=1)
        length = op.Squeeze(op.Gather(op.Shape(x), op.Constant(value_ints=[dim])))
        places = op.Unsqueeze(op.Range(zero, length, one), op.Constant(value_ints=[0]))
        cells = op.Constant(value=from_array(np.arange(size).reshape(-1, 1)))
        begins = cells * length / size
        ends = ((cells + 1) * length + (size - 1)) / size
        inside = op.And(op.GreaterOrEqual(places, begins), op.Less(places, ends))
        return op.Cast(inside, to=1) / op.Cast(ends - begins, to=1)

    return {
        torch.ops.aten._adaptive_avg_pool2d.default: translate_pooling,
        torch.ops.aten.adaptive_avg_pool2d.default: translate_pooling,
        torch.ops.aten.sort.stable: translate_sort,
    }
