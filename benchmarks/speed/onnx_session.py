"""A backbone as onnxruntime runs it."""

import tempfile
from collections.abc import Callable
from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn

from mmrsir.deployment.export import to_onnx


class _Maps(nn.Module):
    """The exporter wants a tuple, and models of timm give a list."""

    def __init__(self, module: nn.Module) -> None:
        super().__init__()
        self.module = module

    def forward(self, images: Tensor) -> tuple[Tensor, ...]:
        return tuple(self.module(images))


def onnx_session(module: nn.Module, images: Tensor) -> Callable[[Tensor], list[np.ndarray]]:
    """Export a backbone for the size of these images, and load it with torch's number of threads.

    Args:
        module: A backbone in evaluation mode, on the CPU.
        images: Images, (B, 3, H, W).

    Returns:
        A function from images of that size to feature maps.
    """
    import onnxruntime

    program = to_onnx(_Maps(module).eval(), (images,))
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = torch.get_num_threads()
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / 'backbone.onnx'
        program.save(path)
        session = onnxruntime.InferenceSession(str(path), options)
    (name,) = (one.name for one in session.get_inputs())
    return lambda images: session.run(None, {name: images.numpy()})
