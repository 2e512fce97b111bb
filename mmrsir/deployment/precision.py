"""Smaller numbers in an ONNX file, by onnxruntime's own tools: half precision, 8-bit integers."""

import ast
import logging
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import numpy as np

PRECISIONS = ('fp32', 'fp16', 'int8')
LAYERS = ('Conv', 'MatMul', 'Gemm')
SCOPES = 'pkg.torch.onnx.name_scopes'  # the modules that a node comes from, by torch's exporter
Feed = dict[str, np.ndarray]


def convert(path: str | Path, out_file: str | Path, precision: str, feeds: Iterable[Feed]) -> None:
    """Write an ONNX file of torch's in another precision; inputs and outputs keep their types.

    ``'fp16'``: all modules of the model in half precision. What stands between them, such as
    coordinates of boxes, stays in single precision, where half precision would have steps of a
    pixel. ``'int8'``: weights and inputs of convolutions and linear layers as integers of 8 bits,
    all else in single precision; it takes the ranges of values from ``feeds``, of typical images.
    """
    import onnx

    if precision == 'fp16':
        onnx.save(_to_half(onnx.load(path)), out_file)
    else:
        _to_integers(path, out_file, feeds)


def _to_half(model: Any) -> Any:
    import onnx
    from onnxruntime.transformers.float16 import convert_float_to_float16
    from onnxruntime.transformers.onnx_model import OnnxModel

    def casts_to(node: Any, kind: int) -> bool:
        return node.op_type == 'Cast' and node.attribute[0].i == kind

    def is_in_module(node: Any) -> bool:
        noted = next((one.value for one in node.metadata_props if one.key == SCOPES), '[]')
        scopes = ast.literal_eval(noted)
        return len(scopes) > 1 and scopes[1].split('.')[0] == 'model'

    outside = [node.name for node in model.graph.node if not is_in_module(node)]
    half = convert_float_to_float16(model, keep_io_types=True, node_block_list=outside)
    # It rounds what one of these hands to another to half precision and back.
    rounded = {
        node.output[0]: node.input[0]
        for node in half.graph.node
        if casts_to(node, onnx.TensorProto.FLOAT16)
    }
    for node in half.graph.node:
        if casts_to(node, onnx.TensorProto.FLOAT) and node.input[0] in rounded:
            node.input[0] = rounded[node.input[0]]
    OnnxModel(half).topological_sort()  # the casts come last
    return half


def _to_integers(path: str | Path, out_file: str | Path, feeds: Iterable[Feed]) -> None:
    from onnxruntime import quantization

    left = iter(feeds)

    class Reader(quantization.CalibrationDataReader):
        """Hands out one feed after the other."""

        def get_next(self) -> Feed | None:
            """Return the next feed; None after the last."""
            return next(left, None)

    logging.disable(logging.WARNING)  # the advice to preprocess fails for graphs of any size
    try:
        quantization.quantize_static(
            path,
            out_file,
            Reader(),
            quant_format=quantization.QuantFormat.QDQ,
            op_types_to_quantize=list(LAYERS),
            per_channel=True,
            activation_type=quantization.QuantType.QUInt8,
            weight_type=quantization.QuantType.QInt8,
            # Products of two inputs, as in attention, stay as they are.
            extra_options={'MatMulConstBOnly': True},
        )
    finally:
        logging.disable(logging.NOTSET)
