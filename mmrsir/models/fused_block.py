"""The fused path through a block, for inference on NVIDIA GPUs: one kernel for each half.

Set the environment variable ``MMRSIR_FUSED_KERNELS`` to 1 before this is imported to switch it on.
It is off by default, because its speed is not measured yet (docs/performance.md).

Shape suffixes: B batch, L tokens, M tokens of whole windows (:mod:`.order`), C channels.
"""

import os
import warnings
from typing import Any

import torch
from mmcv.cnn.bricks import DropPath
from torch import Tensor, nn
from torch.overrides import has_torch_function_unary
from torch.utils._python_dispatch import is_in_torch_dispatch_mode

from ..utils.arguments import check_choice
from .importance import MeanImportance
from .linear import MLP
from .mixers import ImportantRegionWindows, RandomSamplingWindows
from .modes import has_hooks
from .windows import WindowAttention, product_dtype

try:
    from . import fused_kernels
except ImportError:  # no Triton
    fused_kernels = None  # type: ignore[assignment]

SWITCH = 'MMRSIR_FUSED_KERNELS'
# The modules of a block that the kernels replace, and others that compute nothing there.
REPLACED = (
    *(nn.LayerNorm, WindowAttention, nn.Linear, nn.Linear, DropPath),
    *(nn.LayerNorm, *MLP),
)
NUM_PARAMETERS = 12  # a weight and a bias of each norm and each linear layer
IDLE = (RandomSamplingWindows, ImportantRegionWindows, MeanImportance, nn.Identity)


def is_switched_on() -> bool:
    """Read the environment variable."""
    value = os.environ.get(SWITCH, '0')
    check_choice(SWITCH, value, ('0', '1'))
    if value == '1' and fused_kernels is None:
        warnings.warn(f'{SWITCH}=1 has no effect: Triton is not installed', stacklevel=2)
    return value == '1' and fused_kernels is not None


enabled = is_switched_on()


def is_fused(block: Any, x_BLC: Tensor, gate_BL: Tensor | None) -> bool:
    """Return whether the kernels can run a block whose tokens stay in raster order.

    They can in inference, in bfloat16 or float16, also under autocast, for up to 128 channels. The
    block must consist of the layers that :class:`.blocks.Block` builds: no gate, no hooks, no
    replaced layer, no mode that watches operators.
    """
    return (
        enabled
        and not torch.is_grad_enabled()
        and gate_BL is None
        and (torch.compiler.is_compiling() or not _is_watched(x_BLC))
        and _is_as_built(block, x_BLC)
        and fused_kernels.supports(
            x_BLC.device,
            product_dtype(x_BLC),
            x_BLC.shape[2],
            block.mixer.attn.num_heads,
            block.mixer.window_tokens,
        )
    )


def run_fused(block: Any, x_BLC: Tensor, places_BM: Tensor) -> Tensor:
    """Run a block on tokens in raster order; see :meth:`.blocks.Block.forward`."""
    return add_mlp(block, add_attention(block, x_BLC, places_BM))


def add_attention(block: Any, x_BLC: Tensor, places_BM: Tensor) -> Tensor:
    """Run the first half of a block."""
    norm, attention = block.norm1, block.mixer.attn
    return fused_kernels.add_attention(
        x_BLC,
        norm.weight,
        norm.bias,
        *_parameters(attention.qkv, x_BLC),
        *_parameters(attention.proj, x_BLC),
        places_BM,
        attention.num_heads,
        attention.window_tokens,
        norm.eps,
    )


def add_mlp(block: Any, x_BLC: Tensor) -> Tensor:
    """Run the second half of a block."""
    norm, ((hidden, *_), output, _) = block.norm2, block.ffn.layers
    return fused_kernels.add_mlp(
        x_BLC,
        norm.weight,
        norm.bias,
        *_parameters(hidden, x_BLC),
        *_parameters(output, x_BLC),
        norm.eps,
    )


def _parameters(layer: nn.Linear, x_BLC: Tensor) -> tuple[Tensor, Tensor]:
    dtype = product_dtype(x_BLC)
    return layer.weight.to(dtype), layer.bias.to(dtype)


def _is_watched(x_BLC: Tensor) -> bool:
    """Return whether a mode counts or records operators: it knows those of torch."""
    return has_torch_function_unary(x_BLC) or is_in_torch_dispatch_mode()


def _is_as_built(block: nn.Module, x_BLC: Tensor) -> bool:
    modules, parameters = list(block.modules()), list(block.parameters())
    return (
        tuple(type(one) for one in modules[1:] if type(one) not in IDLE) == REPLACED
        and not any(one.training or has_hooks(one) for one in modules)
        and len(parameters) == NUM_PARAMETERS
        and all(type(one) is nn.Parameter for one in parameters)
        and all(one.dtype == x_BLC.dtype for one in parameters)
        # Autocast gives tokens of other types another type.
        and (x_BLC.dtype == torch.float32 or not torch.is_autocast_enabled('cuda'))
    )
