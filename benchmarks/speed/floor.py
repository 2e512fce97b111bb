"""A model's linear and convolution layers alone: the time below which it cannot go as it is.

Calls of the layers are recorded while the model runs, and replayed on random tensors. They
are recorded where torch's functions are called, not by hooks on modules: some models (Swin
V2 in timm) call them with weights that no ``nn.Linear`` holds.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional as F
from torch.overrides import TorchFunctionMode

from mmrsir.models.linear import product

from .cases import Case

CONVOLUTIONS = (F.conv2d, F.conv_transpose2d)


@dataclass
class Layer:
    """A call of a linear or convolution layer.

    Args:
        function: torch's function.
        input: Its input without values, on the meta device.
        weight: Its weight.
        arguments: Further arguments.
        keywords: Further arguments by name.
    """

    function: Callable[..., Tensor]
    input: Tensor
    weight: Tensor
    arguments: tuple[Any, ...]
    keywords: dict[str, Any]

    def __call__(self, x: Tensor) -> Tensor:
        """Run the layer on an input of the recorded shape."""
        return self.function(x, self.weight, *self.arguments, **self.keywords)

    @property
    def parameters(self) -> list[Tensor]:
        """Weight and bias, as far as they take a gradient."""
        tensors = [self.weight, *self.arguments, *self.keywords.values()]
        return [one for one in tensors if isinstance(one, Tensor) and one.requires_grad]


class _Recorder(TorchFunctionMode):
    """Keeps the calls of layers that are made inside it."""

    def __init__(self) -> None:
        super().__init__()
        self.layers: list[Layer] = []
        self.linear: dict[int, Layer] = {}  # by the address of their weight

    def __torch_function__(
        self, func: Any, types: Any, args: tuple[Any, ...] = (), kwargs: Any = None
    ) -> Any:
        kwargs = kwargs or {}
        if func is product:  # without what is done to its result
            self._keep_rows(func, *args[:3])
        elif func is F.linear:
            self._keep_rows(func, *args, **kwargs)
        elif func in CONVOLUTIONS:
            self._keep(func, *args, **kwargs)
        return func(*args, **kwargs)

    def _keep_rows(
        self, function: Any, input: Tensor, weight: Tensor, *args: Any, **kwargs: Any
    ) -> None:
        """Keep all calls of a linear layer as one, with all their rows.

        It acts on each row alone, so a model that takes its tokens through in chunks has the
        same floor as one that does not.
        """
        width = weight.shape[1]
        rows = torch.empty(input.numel() // width, width, dtype=input.dtype, device='meta')
        known = self.linear.get(weight.data_ptr())
        wants_gradient = input.requires_grad
        if known is not None:
            rows = torch.cat([rows, rows.new_empty(known.input.numel() // width, width)])
            wants_gradient = wants_gradient or known.input.requires_grad
        rows = rows.detach().requires_grad_(wants_gradient)
        if known is None:
            self.linear[weight.data_ptr()] = self._keep(function, rows, weight, *args, **kwargs)
        else:
            known.input = rows

    def _keep(
        self, function: Any, input: Tensor, weight: Tensor, *args: Any, **kwargs: Any
    ) -> Layer:
        # Keeps the memory layout, on which the speed of a convolution depends.
        shape = torch.empty_like(input, device='meta').requires_grad_(input.requires_grad)
        self.layers.append(Layer(function, shape, weight, args, kwargs))
        return self.layers[-1]


def record_layers(run: Callable[[], Any]) -> list[Layer]:
    """Record convolutions as a computation calls them, and linear layers once with all rows."""
    with _Recorder() as recorder:
        run()
    return recorder.layers


def replay(layers: list[Layer], case: Case) -> Callable[[], None]:
    """Return a function that runs layers alone, one after the other.

    Inputs of the same shape are one tensor. In training the backward pass of each layer
    follows its forward pass, as its results need not be kept then.
    """
    buffers: dict[Any, Tensor] = {}

    def buffer(like: Tensor) -> Tensor:
        key = (like.shape, like.stride(), like.dtype, like.requires_grad)
        if key not in buffers:
            values = torch.randn_like(like, device=case.device, requires_grad=like.requires_grad)
            buffers[key] = values
        return buffers[key]

    inputs = [buffer(layer.input) for layer in layers]

    def forward() -> None:
        with torch.inference_mode(), case.autocast():
            for layer, x in zip(layers, inputs, strict=True):
                layer(x)

    def training() -> None:
        for layer, x in zip(layers, inputs, strict=True):
            with case.autocast():
                out = layer(x)
            wanted = [*layer.parameters, *([x] if x.requires_grad else [])]
            if wanted:
                torch.autograd.grad(out, wanted, buffer(out.detach()))

    return training if case.training else forward
