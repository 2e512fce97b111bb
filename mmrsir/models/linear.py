"""Linear layers of tokens.

On the CPU, torch multiplies matrices with the BLAS that it was built with. oneDNN, which torch also
contains, is about twice as fast on AMD's processors (docs/performance.md). torch does not document
the operator for its product, so these functions use it only if it exists and gives the right
result.

The modules stay ``nn.Linear``, so tools find them. Only the call differs, and only for plain
tensors. Under hooks, counters, transforms and exports, torch's own layer runs.

Shape suffixes: L tokens, C channels.
"""

from functools import cache
from typing import Any, TypeGuard

import torch
from mmcv.cnn.bricks import DropPath
from mmcv.cnn.bricks.transformer import FFN
from torch import Tensor, nn
from torch.nn import functional as F
from torch.overrides import handle_torch_function, has_torch_function_unary
from torch.utils._python_dispatch import is_in_torch_dispatch_mode

from .modes import has_hooks, is_transformed


def linear(layer: nn.Module, x: Tensor) -> Tensor:
    """Return ``layer(x)``, (…, C'), through oneDNN if that is faster and changes nothing else.

    ``layer`` is a linear layer, or the module by which a tool has replaced it.
    """
    if _goes_through_onednn(layer, x):
        out_LC = product(x.reshape(-1, layer.in_features), layer.weight, layer.bias)
        return out_LC.view(*x.shape[:-1], layer.out_features)
    return layer(x)


class LinearSequential(nn.Sequential):
    """``nn.Sequential`` that calls its linear layers with :func:`linear`."""

    def forward(self, x: Tensor) -> Tensor:
        """Run the layers one after the other."""
        for layer in self:
            x = linear(layer, x)
        return x


# The modules of a block's MLP, without those that compute nothing.
MLP = (
    *(FFN, LinearSequential, LinearSequential, nn.Linear, nn.GELU, nn.Dropout),
    *(nn.Linear, nn.Dropout, DropPath),
)


def feed_forward(ffn: FFN, x: Tensor, identity: Tensor) -> Tensor:
    """Return ``ffn(x, identity)``, (…, C).

    In inference, oneDNN computes GELU and the addition inside its products, without further passes
    through memory.
    """
    if (
        torch.is_grad_enabled()
        or tuple(type(one) for one in ffn.modules() if type(one) is not nn.Identity) != MLP
        or any(module.training or has_hooks(module) for module in ffn.modules())
    ):
        return ffn(x, identity=identity)
    (first, activation, _), second, _ = ffn.layers
    if (
        not (_goes_through_onednn(first, x) and _goes_through_onednn(second, x))
        or activation.approximate != 'none'
    ):
        return ffn(x, identity=identity)
    x_LC, identity_LC = x.flatten(0, -2), identity.flatten(0, -2)
    hidden_LC = product(x_LC, first.weight, first.bias, gelu=True)
    return product(hidden_LC, second.weight, second.bias, add_LC=identity_LC).view(identity.shape)


def product(
    x_LC: Tensor,
    weight: Tensor,
    bias: Tensor | None,
    gelu: bool = False,
    add_LC: Tensor | None = None,
) -> Tensor:
    """Multiply float32 tokens with weights, (C', C), by oneDNN, forwards and backwards.

    Without gradients, it can also compute GELU of the result, or the sum with other tokens.
    """
    if has_torch_function_unary(x_LC):  # a mode that records calls
        return handle_torch_function(product, (x_LC,), x_LC, weight, bias, gelu, add_LC)
    if is_in_torch_dispatch_mode():  # one that counts or traces operators knows torch's
        out_LC = F.linear(x_LC, weight, bias)
        out_LC = F.gelu(out_LC) if gelu else out_LC
        return out_LC if add_LC is None else out_LC + add_LC
    if gelu or add_LC is not None:
        return _multiply(x_LC, weight, bias, gelu, add_LC)
    return _Product.apply(x_LC, weight, bias)


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
        # Of rows that lie apart, oneDNN computes grad_weight a hundred times slower.
        x_LC, grad_LC = x_LC.contiguous(), grad_LC.contiguous()
        # Who differentiates the gradient needs an operator that has one.
        multiply = F.linear if torch.is_grad_enabled() else _multiply
        grad_x = grad_weight = grad_bias = None
        if ctx.needs_input_grad[0]:
            grad_x = multiply(grad_LC, weight.t())
        if ctx.needs_input_grad[1]:
            # oneDNN is fastest with the shorter side first.
            if weight.shape[0] > weight.shape[1]:
                grad_weight = multiply(x_LC.t(), grad_LC.t()).t()
            else:
                grad_weight = multiply(grad_LC.t(), x_LC.t())
        if ctx.has_bias and ctx.needs_input_grad[2]:
            grad_bias = grad_LC.sum(0)
        return grad_x, grad_weight, grad_bias


def _multiply(
    x_LC: Tensor,
    weight: Tensor,
    bias: Tensor | None = None,
    gelu: bool = False,
    add_LC: Tensor | None = None,
) -> Tensor:
    multiply = torch.ops.mkldnn._linear_pointwise
    if add_LC is not None:
        return multiply.binary(x_LC, add_LC, weight, bias, 'add')
    activation, form = ('gelu', 'none') if gelu else ('none', '')
    return multiply(x_LC, weight, bias, activation, [], form)


@cache
def _has_product() -> bool:
    """Return whether oneDNN's product is there, and right."""
    if not torch.backends.mkldnn.is_available():
        return False
    with torch.device('cpu'):
        x, weight, bias = torch.ones(2, 3), torch.eye(3)[:2], torch.ones(2)
    right = F.linear(x, weight, bias)
    try:
        return (
            torch.equal(_multiply(x, weight, bias), right)
            and torch.equal(_multiply(x, weight, bias, add_LC=bias.expand(2, 2)), right + 1)
            and torch.allclose(_multiply(x, weight, bias, gelu=True), F.gelu(right))
        )
    except (AttributeError, RuntimeError, TypeError):
        return False


def _goes_through_onednn(layer: nn.Module, x: Tensor) -> TypeGuard[nn.Linear]:
    return (
        # Compiled it gains nothing, and traced or exported it would hide what it is.
        not torch.compiler.is_compiling()
        and not torch.jit.is_tracing()
        and type(layer) is nn.Linear
        and _is_plain_float32(x)
        and _is_plain_float32(layer.weight)
        and not torch.is_autocast_enabled('cpu')
        and not has_hooks(layer)
        and not is_transformed(x)
        and x.numel() > 0
        and _has_product()
    )


def _is_plain_float32(tensor: Tensor) -> bool:
    """Return whether a tensor is of no class of others, and on the CPU."""
    return (
        type(tensor) in (Tensor, nn.Parameter)
        and tensor.dtype == torch.float32
        and tensor.device.type == 'cpu'
    )
