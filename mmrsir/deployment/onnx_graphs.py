"""ONNX graphs around a detector: from a picture to an image, and masks of the picture's size."""

from collections.abc import Iterator, Sequence
from typing import Any, NamedTuple

import numpy as np
from torch import nn

from ..utils.errors import InvalidValueError

PASSED_OVER = {'LoadAnnotations', 'PackDetInputs'}  # transforms that leave the image as it is
PICTURE = 'uint8[1, height, width, 3] image'


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
    """Return what the test pipeline of mmdet's config and its detector's preprocessor do.

    Raises:
        ValueError: The pipeline has a transform that is not known here.
    """
    dataset = cfg.test_dataloader.dataset
    while 'pipeline' not in dataset:
        dataset = dataset.dataset
    scale, keep_ratio = None, True
    for step in dataset.pipeline:
        kind = step['type'].rpartition('.')[2]
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


def graph_before(preprocessing: Preprocessing, opset: int) -> Any:
    """Return the ONNX model from ``image`` to ``images``, ``size``, ``scale`` and ``given``.

    ``image`` is a picture, uint8, RGB, (1, H, W, 3). ``given`` is (H, W), the others are the
    arguments of :meth:`.detector.Detector.forward`.
    """
    if preprocessing.scale is None:
        resized = 'sides = Identity(exact)'
    elif preprocessing.keep_ratio:
        resized = """
            long = ReduceMax(exact)
            short = ReduceMin(exact)
            by_long = Div(limit_long, long)
            by_short = Div(limit_short, short)
            ratio = Min(by_long, by_short)
            product = Mul(exact, ratio)
            rounded = Add(product, half)
            sides = Floor(rounded)"""
    else:
        resized = 'sides = Concat<axis = 0>(limit_short, limit_long)'  # height, width
    limits = preprocessing.scale or (1, 1)
    if preprocessing.keep_ratio:
        limits = max(limits), min(limits)
    long, short = map(float, limits)
    channels = '0, 1, 2' if preprocessing.is_rgb else '2, 1, 0'
    return _parse(
        f"""before ({PICTURE}) => (float[1, 3, rows, columns] images, float[2] size,
            float[2] scale, int64[2] given)
        <double[1] limit_long = {{{long}}}, double[1] limit_short = {{{short}}},
         double[1] half = {{0.5}}, int64[1] one = {{1}}, int64[1] three = {{3}},
         int64[3] channels = {{{channels}}},
         int64[6] zeros = {{0, 0, 0, 0, 0, 0}}, int64[1] divisor = {{{preprocessing.divisor}}},
         float pad_value = {{{float(preprocessing.pad_value)}}},
         double offset = {{0.5}}, double unit = {{1.0}}, float whole = {{1.0}}, int64 step = {{1}},
         float steps = {{2048.0}}, int64 zero = {{0}}, int64 number_0 = {{0}},
         int64 number_1 = {{1}}, int32 sixteen = {{16}}, int32 quarter = {{65536}},
         int32 two = {{2}}, int32 four = {{4}}>
        {{
            shape = Shape(image)
            given = Slice(shape, one, three)
            exact = Cast<to = 11>(given)
            {resized}
            whole_sides = Cast<to = 7>(sides)
            size = Cast<to = 1>(sides)
            exact_scale = Div(sides, exact)
            scale = Cast<to = 1>(exact_scale)
            planes = Transpose<perm = [0, 3, 1, 2]>(image)
            ordered = Gather<axis = 1>(planes, channels)
            pixels = Cast<to = 6>(ordered)
            {_neighbours('x', 1)}
            left = Gather<axis = 3>(pixels, x_from)
            right = Gather<axis = 3>(pixels, x_to)
            left_part = Mul(left, x_near)
            right_part = Mul(right, x_far)
            rows_of = Add(left_part, right_part)
            coarse_rows = Div(rows_of, sixteen)
            {_neighbours('y', 0)}
            y_near_column = Unsqueeze(y_near, one)
            y_far_column = Unsqueeze(y_far, one)
            upper = Gather<axis = 2>(coarse_rows, y_from)
            lower = Gather<axis = 2>(coarse_rows, y_to)
            upper_product = Mul(upper, y_near_column)
            lower_product = Mul(lower, y_far_column)
            upper_quarters = Div(upper_product, quarter)
            lower_quarters = Div(lower_product, quarter)
            quarters = Add(upper_quarters, lower_quarters)
            raised = Add(quarters, two)
            whole_pixels = Div(raised, four)
            resized = Cast<to = 1>(whole_pixels)
            centred = Sub(resized, mean)
            normalized = Div(centred, std)
            rest = Mod(whole_sides, divisor)
            missing = Sub(divisor, rest)
            padding = Mod(missing, divisor)
            pads = Concat<axis = 0>(zeros, padding)
            images = Pad(normalized, pads, pad_value)
        }}""",
        opset,
        {name: _column(getattr(preprocessing, name)) for name in ('mean', 'std')},
    )


def _neighbours(axis: str, number: int) -> str:
    """Return the steps to two neighbours of each new pixel and to their weights, of 2048.

    These, and the divisions that leave out rests, are those of OpenCV's ``resize``.
    """
    return f"""
            {axis}_old = Gather(given, number_{number})
            {axis}_new = Gather(whole_sides, number_{number})
            {axis}_old_exact = Cast<to = 11>({axis}_old)
            {axis}_new_exact = Cast<to = 11>({axis}_new)
            {axis}_ratio = Div({axis}_new_exact, {axis}_old_exact)
            {axis}_pitch = Div(unit, {axis}_ratio)
            {axis}_numbers = Range(zero, {axis}_new, step)
            {axis}_corners = Cast<to = 11>({axis}_numbers)
            {axis}_centres = Add({axis}_corners, offset)
            {axis}_scaled = Mul({axis}_centres, {axis}_pitch)
            {axis}_exact_places = Sub({axis}_scaled, offset)
            {axis}_places = Cast<to = 1>({axis}_exact_places)
            {axis}_floor = Floor({axis}_places)
            {axis}_share = Sub({axis}_places, {axis}_floor)
            {axis}_other_share = Sub(whole, {axis}_share)
            {axis}_far_steps = Mul({axis}_share, steps)
            {axis}_near_steps = Mul({axis}_other_share, steps)
            {axis}_far_whole = Round({axis}_far_steps)
            {axis}_near_whole = Round({axis}_near_steps)
            {axis}_far = Cast<to = 6>({axis}_far_whole)
            {axis}_near = Cast<to = 6>({axis}_near_whole)
            {axis}_index = Cast<to = 7>({axis}_floor)
            {axis}_next = Add({axis}_index, step)
            {axis}_last = Sub({axis}_old, step)
            {axis}_from = Clip({axis}_index, zero, {axis}_last)
            {axis}_to = Clip({axis}_next, zero, {axis}_last)"""


def graph_after(side: int, threshold: float, opset: int) -> Any:
    """Return the ONNX model from ``boxes``, ``grids`` and ``given`` to ``masks``.

    ``boxes`` are (N, 4), ``grids`` what lies at the points of a grid in each, (N, side, side),
    ``masks`` are (N, H, W), bool, of a picture of the size ``given``. A pixel
    belongs to the object from the threshold on.
    """
    # Interpolation between four points is a product with a matrix of shares on each side. One
    # object comes after the other, since all at once take much memory; Scan needs at least one.
    weights = """
        {0}_extent = Sub({0}_end, {0}_begin)
        {0}_past = Sub({0}, {0}_begin)
        {0}_share = Div({0}_past, {0}_extent)
        {0}_scaled = Mul({0}_share, side)
        {0}_place = Sub({0}_scaled, half)
        {0}_column = Unsqueeze({0}_place, one)
        {0}_apart = Sub({0}_column, points)
        {0}_far = Abs({0}_apart)
        {0}_near = Sub(unit, {0}_far)
        {0}_weights = Relu({0}_near)"""
    points = ', '.join(f'{float(point)}' for point in range(side))
    return _parse(
        f"""after (float[number, 4] boxes, float[number, {side}, {side}] grids, int64[2] given)
            => (bool[number, height, width] masks)
        <int64 first = {{0}}, int64 second = {{1}}, int64[1] one = {{1}}, float half = {{0.5}},
         float unit = {{1.0}}, float side = {{{float(side)}}}, float threshold = {{{threshold}}},
         float[1, {side}] points = {{{points}}}, int64 zero = {{0}}, int64 step = {{1}},
         int64[1] begin = {{0}}, int64[1] end = {{-1}}, float[1, 4] no_box = {{0.0, 0.0, 1.0, 1.0}}>
        {{
            all_boxes = Concat<axis = 0>(boxes, no_box)
            all_grids = Concat<axis = 0>(grids, no_grid)
            height = Gather(given, first)
            width = Gather(given, second)
            row_numbers = Range(zero, height, step)
            column_numbers = Range(zero, width, step)
            row_corners = Cast<to = 1>(row_numbers)
            column_corners = Cast<to = 1>(column_numbers)
            y = Add(row_corners, half)
            x = Add(column_corners, half)
            all_masks = Scan<num_scan_inputs = 2, body = paste
                (float[4] box, float[{side}, {side}] grid) => (bool[rows, columns] pasted) {{
                    x_begin, y_begin, x_end, y_end = Split<num_outputs = 4>(box)
                    {weights.format('y')}
                    {weights.format('x')}
                    of_rows = MatMul(y_weights, grid)
                    x_turned = Transpose<perm = [1, 0]>(x_weights)
                    values = MatMul(of_rows, x_turned)
                    pasted = GreaterOrEqual(values, threshold)
                }}>(all_boxes, all_grids)
            masks = Slice(all_masks, begin, end)
        }}""",
        opset,
        {'no_grid': np.zeros((1, side, side), np.float32)},
    )


def _column(values: Sequence[float]) -> np.ndarray:
    return np.array(values, np.float32).reshape(1, 3, 1, 1)


def _parse(text: str, opset: int, constants: dict[str, np.ndarray]) -> Any:
    import onnx

    graph = onnx.parser.parse_graph(text)
    graph.initializer.extend(
        onnx.numpy_helper.from_array(value, name) for name, value in constants.items()
    )
    used = set(_taken(graph))
    unused = [one for one in graph.initializer if one.name not in used]
    for one in unused:  # onnxruntime warns of each
        graph.initializer.remove(one)
    kept = {one.name for one in (*graph.input, *graph.output)}
    _rename(graph, f'{graph.name}/', kept | {''})
    return onnx.helper.make_model(graph, opset_imports=[onnx.helper.make_opsetid('', opset)])


def _taken(graph: Any) -> Iterator[str]:
    """Iterate over the names of values that nodes take."""
    for node in graph.node:
        yield from node.input
        for attribute in node.attribute:
            if attribute.HasField('g'):
                yield from _taken(attribute.g)


def _rename(graph: Any, prefix: str, kept: set[str]) -> None:
    """Give all values but some a prefix, in bodies too, where onnx.compose leaves some out."""

    def name(old: str) -> str:
        return old if old in kept else prefix + old

    for one in (*graph.input, *graph.output, *graph.initializer):
        one.name = name(one.name)
    for node in graph.node:
        node.input[:] = map(name, node.input)
        node.output[:] = map(name, node.output)
        for attribute in node.attribute:
            if attribute.HasField('g'):
                _rename(attribute.g, prefix, kept)
