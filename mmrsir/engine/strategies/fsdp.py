"""Fully sharded data parallel training (FSDP) of models with an RSIR backbone.

A config asks for it with ``runner_type='FlexibleRunner'`` and
``strategy=dict(type='mmrsir.engine.strategies.fsdp.FSDP2Strategy')``.

mmengine's own FSDPStrategy builds on torch's older FullyShardedDataParallel, which flattens
parameters. With it our recipes would go wrong unnoticed: ``flat_decay_mult`` takes the weight
decay from every parameter, and each process clips gradients by the norm of its own shard.
With torch 2.11 it also fails to save on the CPU and to resume. torch's ``fully_shard``
(FSDP2) keeps the name and the shape of each parameter.
"""

from typing import Any

from mmengine._strategy import DDPStrategy, SingleDeviceStrategy
from mmengine.device import get_device
from mmengine.dist import is_main_process
from torch import Tensor, nn
from torch.distributed.fsdp import fully_shard
from torch.distributed.tensor import DTensor, distribute_tensor
from torch.distributed.tensor.experimental import implicit_replication
from torch.utils._pytree import tree_map_only

from ...models.blocks import Block
from ...models.importance import CBAMImportance
from ...utils.errors import InvalidValueError

# What is gathered at once. CBAM's map runs before its block, hence by itself.
UNITS = (Block, CBAMImportance)


class FSDP2Strategy(DDPStrategy):
    """Shards parameters, gradients and optimizer states over the processes.

    For mmengine's FlexibleRunner. The blocks of the backbone are gathered one at a time,
    when they run; the rest of the model for a whole iteration. Results are those of data
    parallel training up to rounding, and so are checkpoints: they hold whole tensors, so
    that any number of processes, with or without this strategy, can test or resume them.

    Args:
        **kwargs: Arguments of mmengine's ``DDPStrategy``.

    Raises:
        InvalidValueError: There is no launcher.
    """

    def __init__(self, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        if not self.distributed:
            raise InvalidValueError(
                'FSDP2Strategy shards a model over processes, but --launcher none has only one: '
                'start the training with tools/dist_train.sh or tools/slurm_train.sh'
            )

    def _wrap_model(self, model: nn.Module) -> nn.Module:
        model = self.convert_model(model.to(get_device()))
        for module in reversed(list(model.modules())):
            if isinstance(module, UNITS):
                fully_shard(module)
        fully_shard(model)
        return model

    def save_checkpoint(self, filename: str, *, save_optimizer: bool = True, **kwargs: Any) -> None:
        if is_main_process():
            SingleDeviceStrategy.save_checkpoint(
                self, filename, save_optimizer=save_optimizer, **kwargs
            )
        else:  # the main process gathers from all
            self.model_state_dict()
            if save_optimizer:
                self.optim_state_dict()

    def model_state_dict(self) -> dict:
        state = self.model.state_dict()
        for name, value in state.items():  # in place, as the dict carries the modules' versions
            if isinstance(value, Tensor):
                state[name] = _whole(value)
        return state

    def optim_state_dict(self) -> dict:
        return tree_map_only(Tensor, _whole, super().optim_state_dict())

    def load_model_state_dict(self, state_dict: dict, **kwargs: Any) -> None:
        with implicit_replication():  # each process takes its shard
            super().load_model_state_dict(state_dict, **kwargs)

    def load_optim_state_dict(self, state_dict: dict) -> None:
        groups = self.optim_wrapper.optimizer.param_groups
        parameters = [parameter for group in groups for parameter in group['params']]
        for index, state in state_dict['state'].items():
            parameter = parameters[index]
            for name, value in state.items():
                if isinstance(value, Tensor) and value.shape == parameter.shape:
                    state[name] = distribute_tensor(
                        value, parameter.device_mesh, parameter.placements
                    )
        super().load_optim_state_dict(state_dict)


def _whole(tensor: Tensor) -> Tensor:
    return (tensor.full_tensor() if isinstance(tensor, DTensor) else tensor).cpu()
