"""Writing a model for another program, and comparing what it computes there."""

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch
from torch import Tensor, nn
from torch.export import Dim, ExportedProgram

from .translations import onnx_translations

Size = tuple[int, int, int]
"""Height, width, number of images."""
TOLERANCE = 1e-4
OWN_TRIALS = 4
# An example for the tracer; no two of its sizes are equal, so that none is taken for another.
EXAMPLE: Size = (480, 640, 2)


def export_torch(module: nn.Module, out_file: str | Path, example: Size = EXAMPLE) -> None:
    """Write a ``.pt2`` file for ``torch.export.load``, for any batch and sides above 32 pixels.

    Args:
        module: Function of normalized images, from :func:`.subjects.take_part`.
        out_file: File to write.
        example: Size that the tracer sees.
    """
    torch.export.save(_trace(module, example), out_file)


def export_onnx(
    module: Any, out_file: str | Path, metadata: dict[str, str], example: Size = EXAMPLE
) -> None:
    """Write an ``.onnx`` file, for any batch and image size.

    Args:
        module: Function of normalized images, from :func:`.subjects.take_part`.
        out_file: File to write.
        metadata: What the file tells about itself.
        example: Size that the tracer sees.
    """
    program: Any = torch.onnx.export(
        _trace(module, example),
        input_names=['images'],
        output_names=list(module.output_names),
        custom_translation_table=onnx_translations(),
        dynamo=True,
        verbose=False,
    )
    program.model.metadata_props.update(metadata)
    program.save(out_file)


def load_torch(path: str | Path) -> Callable[[Tensor], Sequence[Tensor]]:
    """Load what :func:`export_torch` wrote, as a function of images."""
    loaded = torch.export.load(path).module()
    return lambda images: _as_tuple(loaded(images))


def load_onnx(path: str | Path) -> Callable[[Tensor], Sequence[Tensor]]:
    """Load what :func:`export_onnx` wrote into onnxruntime, as a function of images."""
    import onnxruntime

    session = onnxruntime.InferenceSession(str(path), providers=['CPUExecutionProvider'])

    def run(images: Tensor) -> list[Tensor]:
        return [torch.from_numpy(out) for out in session.run(None, {'images': images.numpy()})]

    return run


def largest_difference(
    module: nn.Module, loaded: Callable[[Tensor], Sequence[Tensor]], size: Size
) -> float:
    """Compare the outputs of a module and of its export for random images.

    Args:
        module: The module.
        loaded: From :func:`load_torch` or :func:`load_onnx`.
        size: Of the images.

    Returns:
        The largest absolute difference, of all outputs; NaN where one has NaN.

    Raises:
        ValueError: The outputs differ in number or shape.
    """
    images = _draw(size)
    with torch.no_grad():
        expected = _as_tuple(module(images))
    outputs = loaded(images)
    shapes = [[tuple(out.shape) for out in outs] for outs in (expected, outputs)]
    if shapes[0] != shapes[1]:
        raise ValueError(f'outputs of {size} are {shapes[1]}, those of torch {shapes[0]}')
    differences = [(one - other).abs().max() for one, other in zip(expected, outputs, strict=True)]
    return float(torch.stack(differences).max())


class Comparison(NamedTuple):
    """How far an export is from its module.

    Args:
        difference: The largest absolute difference of all outputs.
        own: How far the module is from itself, see :func:`own_difference`; None where the
            difference is within the tolerance.
    """

    difference: float
    own: float | None


def compare(
    module: nn.Module, loaded: Callable[[Tensor], Sequence[Tensor]], size: Size
) -> Comparison:
    """Compare a module with its export, and where they differ the module with itself.

    Args:
        module: The module.
        loaded: From :func:`load_torch` or :func:`load_onnx`.
        size: Of the random images.

    Returns:
        The differences.
    """
    difference = largest_difference(module, loaded, size)
    return Comparison(difference, None if difference <= TOLERANCE else own_difference(module, size))


def agree(comparisons: Sequence[Comparison]) -> bool:
    """Return whether an export computes what its module does.

    Args:
        comparisons: At several sizes. At one of them at least, the difference must be within the
            tolerance; elsewhere at most twice that of the module from itself.
    """
    return any(one.own is None for one in comparisons) and all(
        one.own is None or one.difference <= 2 * one.own for one in comparisons
    )


def own_difference(module: nn.Module, size: Size) -> float:
    """Compare the outputs of a module for random images and for almost the same images.

    IR-Win sorts: rounding alone puts two patches that are almost equally important into other
    windows. Where that happens, an export can come no nearer to a module than this.

    Args:
        module: The module.
        size: Of the images.

    Returns:
        The largest absolute difference over trials that change each pixel by about a millionth.
    """

    def difference(trial: int) -> float:
        change = 1e-6 * _draw(size, trial)
        return largest_difference(module, lambda images: _as_tuple(module(images + change)), size)

    with torch.no_grad():
        return max(difference(trial) for trial in range(1, OWN_TRIALS + 1))


def _trace(module: nn.Module, example: Size) -> ExportedProgram:
    """Record a module for any size."""
    sizes = {0: Dim.DYNAMIC, 2: Dim.DYNAMIC, 3: Dim.DYNAMIC}
    # Otherwise a size of 1, of the batch or a number of windows, is taken for a special case.
    settings: Any = torch.fx.experimental._config
    oblivious = settings.patch(backed_size_oblivious=True)
    with torch.no_grad(), oblivious:
        return torch.export.export(module, (_draw(example),), dynamic_shapes=(sizes,))


def _draw(size: Size, trial: int = 0) -> Tensor:
    """Draw images that depend on their size and the number of the trial alone."""
    height, width, number = size
    generator = np.random.default_rng((*size, trial))
    return torch.from_numpy(generator.standard_normal((number, 3, height, width), np.float32))


def _as_tuple(outputs: Any) -> tuple[Tensor, ...]:
    return (outputs,) if isinstance(outputs, Tensor) else tuple(outputs)
