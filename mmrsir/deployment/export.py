"""Writing a model for another program, and comparing what it computes there."""

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch
from torch import Tensor
from torch.export import Dim

from .part import Part
from .translations import onnx_translations

Outputs = Callable[[Tensor], Any]
"""A function of images, (B, 3, H, W), that returns a tensor or several."""
Size = tuple[int, int, int]
"""Height, width, number of images."""
TOLERANCE = 1e-4
OWN_TRIALS = 4
# An example for the tracer; no two of its sizes are equal, so that none is taken for another.
EXAMPLE: Size = (480, 640, 2)
BATCHES = ({0: Dim.DYNAMIC, 2: Dim.DYNAMIC, 3: Dim.DYNAMIC},)


def export_torch(module: Part, out_file: str | Path, example: Size = EXAMPLE) -> None:
    """Write a ``.pt2`` file for ``torch.export.load``, for any batch and sides above 32 pixels.

    Args:
        module: What is exported, from :func:`.subjects.take_part`.
        out_file: File to write.
        example: Size that the tracer sees.
    """
    with torch.no_grad(), any_size():
        program = torch.export.export(module, (_draw(example),), dynamic_shapes=BATCHES)
    torch.export.save(program, out_file)


def export_onnx(
    module: Part, out_file: str | Path, metadata: dict[str, str], example: Size = EXAMPLE
) -> None:
    """Write an ``.onnx`` file, for any batch and image size.

    Args:
        module: What is exported, from :func:`.subjects.take_part`.
        out_file: File to write.
        metadata: What the file tells about itself.
        example: Size that the tracer sees.
    """
    with torch.no_grad(), any_size():
        program: Any = torch.onnx.export(
            module,
            (_draw(example),),
            dynamic_shapes=BATCHES,
            input_names=['images'],
            output_names=list(module.output_names),
            custom_translation_table=onnx_translations(),
            dynamo=True,
            verbose=False,
        )
    program.model.metadata_props.update(metadata)
    program.save(out_file)


def load_torch(path: str | Path) -> Outputs:
    """Load what :func:`export_torch` wrote, as a function of images."""
    loaded = torch.export.load(path).module()
    return lambda images: _as_tuple(loaded(images))


def load_onnx(path: str | Path) -> Outputs:
    """Load what :func:`export_onnx` wrote into onnxruntime, as a function of images."""
    import onnxruntime

    session = onnxruntime.InferenceSession(str(path), providers=['CPUExecutionProvider'])

    def run(images: Tensor) -> list[Tensor]:
        return [torch.from_numpy(out) for out in session.run(None, {'images': images.numpy()})]

    return run


def largest_difference(expected: Outputs, outputs: Outputs, size: Size) -> float:
    """Compare what two functions make of random images.

    Args:
        expected: The one, such as :meth:`.part.Part.predict`.
        outputs: The other, from :func:`load_torch` or :func:`load_onnx`.
        size: Of the images.

    Returns:
        The largest absolute difference, of all outputs; NaN where one has NaN.

    Raises:
        ValueError: The outputs differ in number or shape.
    """
    images = _draw(size)
    with torch.no_grad(), torch.random.fork_rng(devices=[]):
        pairs = [_as_tuple(function(images)) for function in (expected, outputs)]
    shapes = [[tuple(out.shape) for out in outs] for outs in pairs]
    if shapes[0] != shapes[1]:
        raise ValueError(f'outputs of {size} are {shapes[1]}, those of torch {shapes[0]}')
    differences = [(one - other).abs().max() for one, other in zip(*pairs, strict=True)]
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


def compare(part: Part, loaded: Outputs, size: Size) -> Comparison:
    """Compare a model's own ``predict`` with its export, and where they differ with itself.

    Args:
        part: What was exported.
        loaded: From :func:`load_torch` or :func:`load_onnx`.
        size: Of the random images.

    Returns:
        The differences.
    """
    difference = largest_difference(part.predict, loaded, size)
    within = difference <= TOLERANCE
    return Comparison(difference, None if within else own_difference(part.predict, size))


def agree(comparisons: Sequence[Comparison]) -> bool:
    """Return whether an export computes what its module does.

    Args:
        comparisons: At several sizes. At one of them at least, the difference must be within the
            tolerance; elsewhere at most twice that of the module from itself.
    """
    return any(one.own is None for one in comparisons) and all(
        one.own is None or one.difference <= 2 * one.own for one in comparisons
    )


def own_difference(outputs: Outputs, size: Size) -> float:
    """Compare what a function makes of random images and of almost the same images.

    IR-Win sorts: rounding alone puts two patches that are almost equally important into other
    windows. Where that happens, an export can come no nearer to a model than this.

    Args:
        outputs: The function.
        size: Of the images.

    Returns:
        The largest absolute difference over trials that change each pixel by about a millionth.
    """

    def difference(trial: int) -> float:
        change = 1e-6 * _draw(size, trial)
        return largest_difference(outputs, lambda images: outputs(images + change), size)

    return max(difference(trial) for trial in range(1, OWN_TRIALS + 1))


@contextmanager
def any_size() -> Iterator[None]:
    """Take no size of an example for a special case."""
    # Otherwise a size of 1, of the batch or a number of windows, is taken for one.
    settings: Any = torch.fx.experimental._config
    with settings.patch(backed_size_oblivious=True):
        yield


def _draw(size: Size, trial: int = 0) -> Tensor:
    """Draw images that depend on their size and the number of the trial alone."""
    height, width, number = size
    generator = np.random.default_rng((*size, trial))
    return torch.from_numpy(generator.standard_normal((number, 3, height, width), np.float32))


def _as_tuple(outputs: Any) -> tuple[Tensor, ...]:
    return (outputs,) if isinstance(outputs, Tensor) else tuple(outputs)
