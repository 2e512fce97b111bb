"""Checks whether a forward pass runs in an export, in a transform of torch.func or with hooks."""

import torch
from torch import Tensor, nn
from torch.autograd.forward_ad import unpack_dual
from torch.nn.modules import module as torch_module


def is_exporting() -> bool:
    """Return whether the model is traced or exported, so that it must suit any size and device."""
    # While it compiles torch says that it exports, too.
    exporting = torch.compiler.is_exporting() and not torch.compiler.is_dynamo_compiling()
    return exporting or torch.jit.is_tracing()


def is_transformed(x: Tensor) -> bool:
    """Return whether a transform of torch.func or forward-mode differentiation is active.

    These do not support some fused operators, our own backward passes, recomputed blocks and
    memory layouts. If this is true, use plain operators with the same result.
    """
    if torch.compiler.is_compiling():
        return False
    return torch._C._are_functorch_transforms_active() or unpack_dual(x).tangent is not None


def has_hooks(module: nn.Module) -> bool:
    """Return whether a module itself, without its children, has hooks or a replaced ``forward``."""
    return bool(
        module._forward_hooks
        or module._forward_pre_hooks
        or module._backward_hooks
        or module._backward_pre_hooks
        or 'forward' in vars(module)  # replaced for this one module
        or torch_module._global_forward_hooks
        or torch_module._global_forward_pre_hooks
        or torch_module._global_backward_hooks
        or torch_module._global_backward_pre_hooks
    )
