"""One ONNX file from a picture to boxes, labels, scores and masks."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import torch
from torch.export import Dim

from . import onnx_graphs
from .comparison import Detections
from .detector import Detector
from .export import onnx_runner, to_onnx

EXAMPLE = (1, 3, 320, 448)


def export_core(part: Detector, out_file: str | Path) -> None:
    """Write the detector as an ONNX file with the inputs of :meth:`.detector.Detector.forward`."""
    arguments = (torch.rand(EXAMPLE), torch.tensor(EXAMPLE[2:]).float(), torch.ones(2))
    program = to_onnx(
        part,
        arguments,
        dynamic_shapes=({2: Dim.DYNAMIC, 3: Dim.DYNAMIC}, None, None),
        input_names=['images', 'size', 'scale'],
        output_names=part.output_names,
    )
    program.save(out_file)


def wrap_core(
    core: str | Path,
    out_file: str | Path,
    part: Detector,
    preprocessing: onnx_graphs.Preprocessing,
    metadata: dict[str, str],
) -> None:
    """Write the ONNX file from ``image`` to ``boxes``, ``labels``, ``scores`` and ``masks``.

    ``image`` is a picture, uint8, RGB, (1, H, W, 3), of any size. The boxes are in its pixels,
    (N, 4), float32, as x1, y1, x2, y2; labels are (N,), int64; scores (N,), float32, descending;
    masks (N, H, W), bool.
    ``core`` is the file of :func:`export_core`.
    """
    import onnx_ir as ir
    from onnxscript import GraphBuilder

    model = ir.load(core)
    graph = model.graph
    op = GraphBuilder(graph).op
    image = ir.val('image', ir.DataType.UINT8, [1, 'height', 'width', 3])
    *prepared, given = onnx_graphs.preprocess(op, image, preprocessing)
    for taken, made in zip(graph.inputs, prepared, strict=True):
        taken.replace_all_uses_with(made)
    graph.inputs[:] = [image]
    if part.has_masks:
        boxes, grids = graph.outputs[0], graph.outputs[-1]
        threshold = float(part.model.roi_head.test_cfg.mask_thr_binary)
        masks = onnx_graphs.paste_masks(op, boxes, grids, given, grids.shape[-1], threshold)
        grids.name, masks.name = 'grids', 'masks'
        graph.outputs[-1] = masks
    graph.sort()
    model.metadata_props.update(metadata)
    ir.save(model, out_file)


def load_detector(path: str | Path) -> Callable[[np.ndarray], Detections]:
    """Load a file of :func:`wrap_core`, as a function of a picture, RGB, uint8, (H, W, 3)."""
    run = onnx_runner(path)
    return lambda picture: Detections(*run({'image': picture[None]}))
