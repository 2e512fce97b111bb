"""One ONNX file from a picture to boxes, labels, scores and masks."""

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch
from torch import nn
from torch.export import Dim

from ..utils.errors import InvalidValueError
from ..utils.settings import type_name
from .comparison import Detections
from .detector import Detector
from .export import onnx_runner, to_onnx

PASSED_OVER = {'LoadAnnotations', 'PackDetInputs'}  # transforms that leave the image as it is
EXAMPLE = (1, 3, 320, 448)
# Types of numbers, as in onnx.TensorProto.
FLOAT, INT32, INT64, DOUBLE = 1, 6, 7, 11


class Preprocessing(NamedTuple):
    """How a detector's test turns a picture into an image.

    Args:
        scale: Limits of the longer and the shorter side where ``keep_ratio``, width and height
            where not; None: the picture's own size.
        keep_ratio: Whether height and width change alike.
        is_rgb: Whether the image is RGB, not BGR.
        mean: Of the channels, (3,).
        std: Of the channels, (3,).
        divisor: Padded sides are multiples of it.
        pad_value: Of the padding, after the normalization.
    """

    scale: tuple[int, int] | None
    keep_ratio: bool
    is_rgb: bool
    mean: Sequence[float]
    std: Sequence[float]
    divisor: int
    pad_value: float


def preprocessing_of(cfg: Any, model: nn.Module) -> Preprocessing:
    """Return what the test pipeline of a predictor's config and its detector's preprocessor do.

    Raises:
        ValueError: The pipeline has a transform that is not known here.
    """
    scale, keep_ratio = None, True
    for step in cfg.test_dataloader.dataset.pipeline:
        kind = type_name(step)
        if kind == 'Resize' and isinstance(step.get('scale'), (tuple, list)):
            scale, keep_ratio = tuple(step['scale']), step.get('keep_ratio', False)
            if step.get('interpolation', 'bilinear') != 'bilinear':
                raise InvalidValueError(
                    f'the test pipeline resizes with interpolation={step["interpolation"]!r}; an '
                    "exported file only knows 'bilinear'. Change it in the config"
                )
        elif kind not in PASSED_OVER and not kind.startswith('Load'):
            raise InvalidValueError(
                f'the exported file cannot do this step of the test pipeline: {step}; allowed: '
                f'Load…, Resize with a scale, {", ".join(sorted(PASSED_OVER))}'
            )
    settings: Any = model.data_preprocessor
    mean, std = (
        getattr(settings, name).flatten().tolist() if hasattr(settings, name) else [value] * 3
        for name, value in (('mean', 0.0), ('std', 1.0))
    )
    is_rgb = bool(settings._channel_conversion)
    return Preprocessing(
        scale, keep_ratio, is_rgb, mean, std, settings.pad_size_divisor, settings.pad_value
    )


def preprocess(op: Any, image: Any, preprocessing: Preprocessing) -> tuple[Any, Any, Any, Any]:
    """Add the way from a picture, uint8, RGB, (1, H, W, 3), to an image to a graph.

    ``op`` has the operators of the graph, from ``onnxscript.GraphBuilder``. Returns the arguments
    of :meth:`.detector.Detector.forward`, and the picture's height and width.
    """
    given = op.Slice(op.Shape(image), [1], [3])
    exact = op.Cast(given, to=DOUBLE)
    sides = _new_sides(op, exact, preprocessing)
    whole_sides = op.Cast(sides, to=INT64)
    pixels = op.Transpose(image, perm=[0, 3, 1, 2])
    if not preprocessing.is_rgb:
        pixels = op.Gather(pixels, [2, 1, 0], axis=1)
    pixels = op.Cast(pixels, to=INT32)
    # As in OpenCV's resize, the divisions leave out rests.
    columns = [
        op.Mul(op.Gather(pixels, places, axis=3), weights)
        for places, weights in _neighbours(op, given, whole_sides, 1)
    ]
    pixels = op.Div(op.Add(*columns), 16)
    rows = [
        op.Div(op.Mul(op.Gather(pixels, places, axis=2), op.Unsqueeze(weights, [1])), 65536)
        for places, weights in _neighbours(op, given, whole_sides, 0)
    ]
    resized = op.Cast(op.Div(op.Add(op.Add(*rows), 2), 4), to=FLOAT)
    mean, std = (
        _constant(op, np.array(values, np.float32).reshape(1, 3, 1, 1))
        for values in (preprocessing.mean, preprocessing.std)
    )
    normalized = op.Div(op.Sub(resized, mean), std)
    divisor = preprocessing.divisor
    padding = op.Mod(op.Sub(divisor, op.Mod(whole_sides, divisor)), divisor)
    pads = op.Concat([0] * 6, padding, axis=0)
    images = op.Pad(normalized, pads, float(preprocessing.pad_value))
    return images, op.Cast(sides, to=FLOAT), op.Cast(op.Div(sides, exact), to=FLOAT), given


def _new_sides(op: Any, exact: Any, preprocessing: Preprocessing) -> Any:
    """Return the height and width of the resized picture, whole numbers in double precision."""
    if preprocessing.scale is None:
        return exact
    if not preprocessing.keep_ratio:
        return _constant(op, np.array(preprocessing.scale[::-1], np.float64))
    long, short = max(preprocessing.scale), min(preprocessing.scale)
    ratio = op.Min(
        op.Div(float(long), op.ReduceMax(exact)), op.Div(float(short), op.ReduceMin(exact))
    )
    return op.Floor(op.Add(op.Mul(exact, ratio), 0.5))


def _neighbours(op: Any, old_sides: Any, new_sides: Any, axis: int) -> list[tuple[Any, Any]]:
    """Return the two neighbours of each new pixel along an axis, and their weights, of 2048.

    They are those of OpenCV's ``resize``.
    """
    old, new = (op.Gather(sides, axis) for sides in (old_sides, new_sides))
    pitch = op.Div(1.0, op.Div(op.Cast(new, to=DOUBLE), op.Cast(old, to=DOUBLE)))
    centres = op.Add(op.Cast(op.Range(0, new, 1), to=DOUBLE), 0.5)
    places = op.Cast(op.Sub(op.Mul(centres, pitch), 0.5), to=FLOAT)
    before = op.Floor(places)
    share = op.Sub(places, before)
    first, last = op.Cast(before, to=INT64), op.Sub(old, 1)
    return [
        (op.Clip(neighbour, 0, last), op.Cast(op.Round(op.Mul(part, 2048.0)), to=INT32))
        for neighbour, part in ((first, op.Sub(1.0, share)), (op.Add(first, 1), share))
    ]


def paste_masks(op: Any, boxes: Any, grids: Any, given: Any, side: int, threshold: float) -> Any:
    """Add the way from grids in boxes, (N, 4), to masks, (N, H, W), bool, to a graph.

    ``grids`` has the share of the object at each point of a grid in its box, (N, side, side);
    ``given`` is the height and width of the picture. A pixel belongs to the object from a share of
    ``threshold`` on.
    """
    import onnx_ir as ir

    row_centres, column_centres = (
        op.Add(op.Cast(op.Range(0, op.Gather(given, axis), 1), to=FLOAT), 0.5) for axis in (0, 1)
    )

    def shares(op: Any, centres: Any, begin: Any, end: Any) -> Any:
        """Return how much each point of a grid is worth to each pixel, (pixels, side)."""
        past = op.Div(op.Sub(centres, begin), op.Sub(end, begin))
        places = op.Unsqueeze(op.Sub(op.Mul(past, float(side)), 0.5), [1])
        apart = op.Abs(op.Sub(places, _constant(op, np.arange(side, dtype=np.float32))))
        return op.Relu(op.Sub(1.0, apart))

    def paste(op: Any, box: Any, grid: Any) -> Any:
        # Interpolation between four points is a product with a matrix of shares on each side.
        x_begin, y_begin, x_end, y_end = op.Split(box, num_outputs=4, _outputs=4)
        rows = shares(op, row_centres, y_begin, y_end)
        columns = shares(op, column_centres, x_begin, x_end)
        values = op.MatMul(op.MatMul(rows, grid), op.Transpose(columns, perm=[1, 0]))
        return op.GreaterOrEqual(values, threshold)

    # One object comes after the other, since all at once take much memory; Scan needs at least one.
    inputs = [ir.val('box', ir.DataType.FLOAT, [4]), ir.val('grid', ir.DataType.FLOAT, [side] * 2)]
    outputs = [ir.val('mask', ir.DataType.BOOL, ['rows', 'columns'])]
    body = op.builder.subgraph(paste, inputs, outputs, name='paste')
    one_more = (
        op.Concat(boxes, _constant(op, np.array([[0, 0, 1, 1]], np.float32)), axis=0),
        op.Concat(grids, _constant(op, np.zeros((1, side, side), np.float32)), axis=0),
    )
    return op.Slice(op.Scan(*one_more, body=body, num_scan_inputs=2), [0], [-1])


def _constant(op: Any, values: np.ndarray) -> Any:
    import onnx_ir as ir

    return op.Constant(value=ir.tensor(values))


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
    preprocessing: Preprocessing,
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
    *prepared, given = preprocess(op, image, preprocessing)
    for taken, made in zip(graph.inputs, prepared, strict=True):
        taken.replace_all_uses_with(made)
    graph.inputs[:] = [image]
    if part.has_masks:
        boxes, grids = graph.outputs[0], graph.outputs[-1]
        threshold = float(part.model.roi_head.test_cfg.mask_thr_binary)
        side: Any = grids.shape and grids.shape[-1]
        masks = paste_masks(op, boxes, grids, given, side, threshold)
        grids.name, masks.name = 'grids', 'masks'
        graph.outputs[-1] = masks
    graph.sort()
    model.metadata_props.update(metadata)
    ir.save(model, out_file)


def load_detector(path: str | Path) -> Callable[[np.ndarray], Detections]:
    """Load a file of :func:`wrap_core`, as a function of a picture, RGB, uint8, (H, W, 3)."""
    run = onnx_runner(path)
    return lambda picture: Detections(*run({'image': picture[None]}))
