"""torch.func and forward-mode differentiation, which know plain operators only."""

import torch
from torch import Tensor
from torch.autograd.forward_ad import unpack_dual


def is_transformed(x: Tensor) -> bool:
    """Return whether a transform of torch.func or forward-mode differentiation is at work.

    They have no rule for some fused operators, for a backward pass of our own, for recomputed
    blocks and for memory layouts. Where this is true, plain operators do the same.

    Args:
        x: What is computed with.
    """
    if torch.compiler.is_compiling():
        return False
    return torch._C._are_functorch_transforms_active() or unpack_dual(x).tangent is not None
