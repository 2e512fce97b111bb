"""One ONNX file from a picture to boxes, labels, scores and masks."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch.export import Dim

from . import onnx_graphs
from .comparison import Detections
from .detector import Detector
from .export import onnx_runner, to_onnx

EXAMPLE = (1, 3, 320, 448)
INPUTS = ('images', 'size', 'scale')
GRIDS = 'grids'


def export_core(part: Detector, out_file: str | Path) -> None:
    """Write the detector as an ONNX file with the inputs of :meth:`.detector.Detector.forward`."""
    arguments = (torch.rand(EXAMPLE), torch.tensor(EXAMPLE[2:]).float(), torch.ones(2))
    names = [GRIDS if name == 'masks' else name for name in part.output_names]
    shapes = ({2: Dim.DYNAMIC, 3: Dim.DYNAMIC}, None, None)
    program = to_onnx(
        part, arguments, dynamic_shapes=shapes, input_names=list(INPUTS), output_names=names
    )
    program.save(out_file)


def wrap_core(
    core: Any, part: Detector, preprocessing: onnx_graphs.Preprocessing, metadata: dict[str, str]
) -> Any:
    """Return the ONNX model from ``image`` to ``boxes``, ``labels``, ``scores`` and ``masks``.

    ``image`` is a picture, uint8, RGB, (1, H, W, 3), of any size. The boxes are in its pixels,
    (N, 4), float32, as x1, y1, x2, y2; labels are (N,), int64; scores (N,), float32, descending;
    masks (N, H, W), bool.
    ``core`` is the ONNX model of :func:`export_core`.
    """
    from onnx import compose, helper

    def join(first: Any, second: Any, names: tuple[str, ...], outputs: list[str]) -> Any:
        first.ir_version = second.ir_version = core.ir_version  # the merger wants one
        pairs = [(name, name) for name in names]
        return compose.merge_models(first, second, io_map=pairs, outputs=outputs)

    opset = next(one.version for one in core.opset_import if not one.domain)
    before = onnx_graphs.graph_before(preprocessing, opset)
    outputs = [one.name for one in core.graph.output]
    whole = join(before, core, INPUTS, [*outputs, *['given'] * part.has_masks])
    if part.has_masks:
        threshold = float(part.model.roi_head.test_cfg.mask_thr_binary)
        side = core.graph.output[-1].type.tensor_type.shape.dim[-1].dim_value
        after = onnx_graphs.graph_after(side, threshold, opset)
        whole = join(whole, after, ('boxes', GRIDS, 'given'), part.output_names)
    helper.set_model_props(whole, metadata)
    return whole


def load_detector(path: str | Path) -> Callable[[np.ndarray], Detections]:
    """Load a file of :func:`wrap_core`, as a function of a picture, RGB, uint8, (H, W, 3)."""
    run = onnx_runner(path)
    return lambda picture: Detections(*run({'image': picture[None]}))
