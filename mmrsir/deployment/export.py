"""Writing a model for another program, and loading what was written."""

import json
import warnings
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.export import Dim

from ..apis import Predictor
from ..utils.settings import type_name
from .parts import Part

Outputs = Callable[[Tensor], Any]
"""A function of images, (B, 3, H, W), that returns a tensor or several."""
# An example for the tracer; no two of its sizes are equal, so that none is taken for another.
EXAMPLE = (2, 3, 480, 640)
BATCHES = ({0: Dim.DYNAMIC, 2: Dim.DYNAMIC, 3: Dim.DYNAMIC},)
LEFT_OUT = ('LoadImage', 'LoadAnnotations', 'Pack')  # steps that do not change the image


def export_torch(module: Part, out_file: str | Path) -> None:
    """Write a ``.pt2`` file for ``torch.export.load``, for any batch and sides above 32 pixels."""
    with torch.no_grad(), any_size():
        program = torch.export.export(module, (torch.zeros(EXAMPLE),), dynamic_shapes=BATCHES)
    torch.export.save(program, out_file)


def export_onnx(module: Part, out_file: str | Path, metadata: dict[str, str]) -> None:
    """Write an ``.onnx`` file, for any batch and image size, with the metadata of `describe`."""
    program = to_onnx(
        module,
        (torch.zeros(EXAMPLE),),
        dynamic_shapes=BATCHES,
        input_names=['images'],
        output_names=list(module.output_names),
    )
    program.model.metadata_props.update(metadata)
    program.save(out_file)


def to_onnx(module: nn.Module, arguments: tuple[Tensor, ...], **settings: Any) -> Any:
    """Return torch's ONNX program of a module; settings as those of ``torch.onnx.export``."""
    with torch.no_grad(), any_size(), warnings.catch_warnings():
        warnings.simplefilter('ignore', FutureWarning)  # of torch and torchvision to each other
        return torch.onnx.export(
            module,
            arguments,
            custom_translation_table=onnx_translations(),
            dynamo=True,
            verbose=False,
            **settings,
        )


def any_size() -> AbstractContextManager[None]:
    """Take a size of 1, of the batch or a number of windows, for no special case."""
    settings: Any = torch.fx.experimental._config
    return settings.patch(backed_size_oblivious=True)


def load_torch(path: str | Path) -> Outputs:
    """Load what :func:`export_torch` wrote, as a function of images."""
    with warnings.catch_warnings():  # torch reads weights from bytes
        warnings.filterwarnings('ignore', 'The given buffer is not writable', UserWarning)
        return torch.export.load(path).module()


def load_onnx(path: str | Path) -> Outputs:
    """Load what :func:`export_onnx` wrote into onnxruntime, as a function of images."""
    run = onnx_runner(path)
    return lambda images: [torch.from_numpy(out) for out in run({'images': images.numpy()})]


def onnx_runner(path: str | Path) -> Callable[[dict[str, np.ndarray]], list[np.ndarray]]:
    """Load an ONNX file for the CPU, as a function from inputs by name to outputs."""
    import onnxruntime

    session = onnxruntime.InferenceSession(str(path), providers=['CPUExecutionProvider'])
    return partial(session.run, None)


def describe(predictor: Predictor, part: str) -> dict[str, str]:
    """Return the metadata of a file, values as JSON, so that a program needs nothing else.

    It has ``task``, what was exported; ``classes`` and their colours, ``palette``; ``channels``,
    ``mean`` and ``std``, by which images are normalized; ``steps``, the transforms of the test
    pipeline before that. The file of a whole detector does all that itself.
    """
    described: dict[str, Any] = dict(task=part, classes=list(predictor.classes))
    palette = (getattr(predictor.model, 'dataset_meta', None) or {}).get('palette')
    if isinstance(palette, (list, tuple)):
        described['palette'] = [list(map(int, colour)) for colour in palette]
    if part != 'detector':
        settings = predictor.model.data_preprocessor
        # mmpretrain's has a name of its own for it.
        names = ('to_rgb', '_channel_conversion')
        to_rgb = any(getattr(settings, name, False) for name in names)
        described['channels'] = 'RGB' if to_rgb else 'BGR'
        for name in ('mean', 'std'):
            if hasattr(settings, name):  # else the model takes pixels as they are
                described[name] = getattr(settings, name).flatten().tolist()
        described['steps'] = [
            dict(step)
            for step in predictor.cfg.test_dataloader.dataset.pipeline
            if not type_name(step).startswith(LEFT_OUT)
        ]
    return {key: json.dumps(value) for key, value in described.items()}


def onnx_translations() -> dict[Callable, Callable]:
    """Return the translation of an operator that torch's exporter lacks.

    It is pooling to a fixed size, as in UPerNet, of images of any size. Our backbones need none.
    Needs ``onnxscript``:
    ``torch.onnx.export(…, dynamo=True, custom_translation_table=onnx_translations())``.
    """
    from onnx.numpy_helper import from_array
    from onnxscript import opset18

    op: Any = opset18  # its types stand for graphs of one type of numbers

    def pool(x: Any, output_size: Sequence[int]) -> Any:
        # A cell is the mean of the rows and columns from floor(i n / m) to ceil((i + 1) n / m):
        # a product with a matrix of shares on each side.
        rows, columns = map(partial(shares, x), (2, 3), output_size)
        return op.MatMul(op.MatMul(rows, x), op.Transpose(columns, perm=[1, 0]))

    def shares(x: Any, dim: int, size: int) -> Any:
        zero, one = op.Constant(value_int=0), op.Constant(value_int=1)
        length = op.Squeeze(op.Gather(op.Shape(x), op.Constant(value_ints=[dim])))
        places = op.Unsqueeze(op.Range(zero, length, one), op.Constant(value_ints=[0]))
        cells = op.Constant(value=from_array(np.arange(size).reshape(-1, 1)))
        begins = cells * length / size
        ends = ((cells + 1) * length + (size - 1)) / size
        inside = op.And(op.GreaterOrEqual(places, begins), op.Less(places, ends))
        return op.Cast(inside, to=1) / op.Cast(ends - begins, to=1)

    aten = torch.ops.aten
    return {aten._adaptive_avg_pool2d.default: pool, aten.adaptive_avg_pool2d.default: pool}
