"""Hooks that others have put on modules, which are to see each module called as it is written."""

from torch import nn
from torch.nn.modules import module as torch_module


def has_hooks(module: nn.Module) -> bool:
    """Return whether calling a module does more than its class says.

    Args:
        module: The module, without those in it.
    """
    return bool(
        module._forward_hooks
        or module._forward_pre_hooks
        or module._backward_hooks
        or module._backward_pre_hooks
        or 'forward' in vars(module)  # replaced for this one module
        or torch_module._has_any_global_hook()
    )
