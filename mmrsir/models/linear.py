"""Linear layers of tokens.

On the CPU torch multiplies matrices with the BLAS that it was built with. oneDNN, which torch
brings along too, is about twice as fast on AMD's processors (docs/performance.md). Its product
is an operator of torch that torch does not document, so it is used only where it is there and
gives the right answer.

Shape suffixes: L tokens, C channels.
"""

from functools import cache
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F


class Linear(nn.Linear):
    """Linear layer with the weights of ``nn.Linear``, through oneDNN on the CPU."""

    def forward(self, x: Tensor) -> Tensor:
        """Multiply.

        Args:
            x: Tokens, (…, C).

        Returns:
            Tokens, (…, C').
        """
        if not _through_onednn(x):
            return super().forward(x)
        tokens_LC = x.reshape(-1, self.in_features)
        out_LC = _Product.apply(tokens_LC, self.weight, self.bias)
        return out_LC.view(*x.shape[:-1], self.out_features)


class _Product(torch.autograd.Function):
    """Product of tokens with weights whose backward goes through oneDNN, too."""

    @staticmethod
    def forward(ctx: Any, x_LC: Tensor, weight: Tensor, bias: Tensor | None) -> Tensor:
        ctx.save_for_backward(x_LC, weight)
        ctx.has_bias = bias is not None
        return _multiply(x_LC, weight, bias)

    @staticmethod
    def backward(ctx: Any, grad_LC: Tensor) -> tuple[Tensor | None, ...]:
        x_LC, weight = ctx.saved_tensors
        grad_x = grad_weight = grad_bias = None
        if ctx.needs_input_grad[0]:
            grad_x = _multiply(grad_LC, weight.t().contiguous())
        if ctx.needs_input_grad[1]:
            # oneDNN is fastest with the shorter side first.
            if weight.shape[0] > weight.shape[1]:
                grad_weight = _multiply(x_LC.t(), grad_LC.t()).t()
            else:
                grad_weight = _multiply(grad_LC.t(), x_LC.t())
        if ctx.has_bias and ctx.needs_input_grad[2]:
            grad_bias = grad_LC.sum(0)
        return grad_x, grad_weight, grad_bias


def _multiply(x_LC: Tensor, weight: Tensor, bias: Tensor | None = None) -> Tensor:
    return torch.ops.mkldnn._linear_pointwise(x_LC, weight, bias, 'none', [], '')


@cache
def _has_product() -> bool:
    """Return whether oneDNN's product is there, and right."""
    if not torch.backends.mkldnn.is_available():
        return False
    x, weight, bias = torch.ones(2, 3), torch.eye(3)[:2], torch.ones(2)
    try:
        return torch.equal(_multiply(x, weight, bias), F.linear(x, weight, bias))
    except (AttributeError, RuntimeError, TypeError):
        return False


def _through_onednn(x: Tensor) -> bool:
    """Return whether an input goes through oneDNN: some float32 on the CPU."""
    return (
        x.device.type == 'cpu'
        and x.dtype == torch.float32
        and x.numel() > 0
        # Compiled it gains nothing, and traced or exported it would hide what it is.
        and not torch.compiler.is_compiling()
        and not torch.jit.is_tracing()
        and not torch.is_autocast_enabled('cpu')
        and _has_product()
    )
