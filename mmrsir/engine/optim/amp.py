"""Mixed precision on the CPU; on GPUs mmengine's AmpOptimWrapper serves."""

import re
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import torch
from mmengine.optim import OptimWrapper
from mmengine.registry import OPTIM_WRAPPERS
from torch import Tensor, nn
from torch.utils._pytree import tree_map_only

# The packages of necks and heads in mmdet, mmseg and mmpretrain: models.dense_heads, …
NECKS_AND_HEADS = re.compile(r'\.models\.(necks|(\w+_)?heads)\.')


@OPTIM_WRAPPERS.register_module()
class CPUAmpOptimWrapper(OptimWrapper):
    """Trains in bfloat16 on the CPU.

    Necks and heads give float32, which losses, the coding of boxes and mmcv's compiled
    operators want. bfloat16 has float32's range, so losses are not scaled. It takes the arguments
    of mmengine's ``OptimWrapper``.
    """

    _prepared = False

    @contextmanager
    def optim_context(self, model: nn.Module) -> Iterator[None]:
        if not self._prepared:
            _keep_float32_where_needed(model)
            self._prepared = True
        with super().optim_context(model), torch.autocast('cpu', dtype=torch.bfloat16):
            yield


def _keep_float32_where_needed(model: nn.Module) -> None:
    """Give operators and losses float32, whatever the layers around them compute in."""
    for module in model.modules():
        origin = type(module).__module__
        if origin.startswith('mmcv.ops.'):
            module.register_forward_pre_hook(_inputs_to_float32)
        elif NECKS_AND_HEADS.search(origin):
            module.register_forward_hook(_outputs_to_float32)


# Functions of a module, not of a call: a model with these hooks can be pickled.
def _inputs_to_float32(_: nn.Module, inputs: tuple[Any, ...]) -> Any:
    return _to_float32(inputs)


def _outputs_to_float32(_: nn.Module, inputs: tuple[Any, ...], outputs: Any) -> Any:
    return _to_float32(outputs)


def _to_float32(value: Any) -> Any:
    """Cast the bfloat16 tensors of nested tuples, named or not, lists and dicts."""
    return tree_map_only(Tensor, _tensor_to_float32, value)


def _tensor_to_float32(tensor: Tensor) -> Tensor:
    return tensor.float() if tensor.dtype == torch.bfloat16 else tensor
