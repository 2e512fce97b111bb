"""One ONNX file from a picture to boxes, labels, scores and masks."""

import warnings
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch.export import Dim

from ..apis import Predictor
from . import picture_graphs
from .detections import Detections, Difference, compare_detections
from .detector import Detector
from .export import OWN_TRIALS, any_size
from .pictures import prepare
from .translations import onnx_translations

EXAMPLE = (1, 3, 320, 448)
INPUTS = ('images', 'size', 'scale')
GRIDS = 'grids'


def export_core(part: Detector, out_file: str | Path) -> None:
    """Write the detector without what stands around it, a function of normalized images.

    Args:
        part: The detector.
        out_file: ONNX file with the inputs of :meth:`.detector.Detector.forward`.
    """
    arguments = (torch.rand(EXAMPLE), torch.tensor(EXAMPLE[2:]).float(), torch.ones(2))
    names = [GRIDS if name == 'masks' else name for name in part.output_names]
    with torch.no_grad(), any_size(), warnings.catch_warnings():
        warnings.simplefilter('ignore', FutureWarning)  # of torch and torchvision to each other
        program: Any = torch.onnx.export(
            part,
            arguments,
            dynamic_shapes=({2: Dim.DYNAMIC, 3: Dim.DYNAMIC}, None, None),
            input_names=list(INPUTS),
            output_names=names,
            custom_translation_table=onnx_translations(),
            dynamo=True,
            verbose=False,
        )
    program.save(out_file)


def wrap_core(
    core: Any, part: Detector, reading: picture_graphs.Reading, metadata: dict[str, str]
) -> Any:
    """Return the ONNX model from ``image`` to ``boxes``, ``labels``, ``scores`` and ``masks``.

    ``image`` is a picture, uint8, RGB, (1, H, W, 3), of any size. The boxes are in its pixels,
    (N, 4), float32, as x1, y1, x2, y2; labels are (N,), int64; scores (N,), float32, descending;
    masks (N, H, W), bool.

    Args:
        core: ONNX model of :func:`export_core`.
        part: The detector.
        reading: How pictures are read, from :func:`.picture_graphs.read_settings`.
        metadata: What the file tells about itself.
    """
    from onnx import compose, helper

    opset = next(one.version for one in core.opset_import if not one.domain)
    outputs = [one.name for one in core.graph.output]
    # The merger wants the same version of the format.
    before = picture_graphs.graph_before(reading, opset)
    before.ir_version = core.ir_version
    whole = compose.merge_models(
        before,
        core,
        io_map=[(name, name) for name in INPUTS],
        outputs=[*outputs, *['given'] * part.has_masks],
    )
    if part.has_masks:
        threshold = float(part.model.roi_head.test_cfg.mask_thr_binary)
        side = core.graph.output[-1].type.tensor_type.shape.dim[-1].dim_value
        after = picture_graphs.graph_after(side, threshold, opset)
        after.ir_version = core.ir_version
        whole = compose.merge_models(
            whole,
            after,
            io_map=[(name, name) for name in ('boxes', GRIDS, 'given')],
            outputs=list(part.output_names),
        )
    helper.set_model_props(whole, metadata)
    return whole


def load_detector(path: str | Path) -> Callable[[np.ndarray], Detections]:
    """Load what :func:`wrap_core` returned into onnxruntime.

    Args:
        path: Its file.

    Returns:
        A function of a picture, RGB, uint8, (H, W, 3).
    """
    import onnxruntime

    session = onnxruntime.InferenceSession(str(path), providers=['CPUExecutionProvider'])
    return lambda picture: Detections(*session.run(None, {'image': picture[None]}))


def compare(
    part: Detector, predictor: Predictor, path: str | Path, pictures: Iterable[np.ndarray]
) -> list[tuple[Difference, bool]]:
    """Compare what a detector and its file find.

    Args:
        part: The detector.
        predictor: The same, for pictures.
        path: The file.
        pictures: RGB, uint8, (H, W, 3).

    Returns:
        For each picture the difference, and whether a large one is excused: torch differs from
        itself where pixels change by about a millionth. IR-Win sorts, and such changes put
        patches that are almost equally important into other windows.
    """
    load = load_detector(path)
    compared = []
    for picture in pictures:
        with torch.no_grad():
            (sample,) = predictor.model.test_step(predictor.preprocess(picture))
        expected = Detections.of_instances(sample.pred_instances)
        difference = compare_detections(expected, load(picture))
        excused = not difference.is_small and _is_unstable(part, prepare(predictor, picture))
        compared.append((difference, excused))
    return compared


def _is_unstable(part: Detector, inputs: dict[str, torch.Tensor]) -> bool:
    """Return whether a detector finds other objects where pixels change by about a millionth."""

    def detect(images: torch.Tensor) -> Detections:
        boxes, labels, scores = part(images, inputs['size'], inputs['scale'])[:3]
        return Detections(boxes.numpy(), labels.numpy(), scores.numpy())

    images = inputs['images']
    with torch.no_grad():
        expected = detect(images)
        return any(
            not compare_detections(expected, detect(images + 1e-6 * noise)).is_small
            for noise in torch.randn(
                OWN_TRIALS, *images.shape, generator=torch.Generator().manual_seed(0)
            )
        )
