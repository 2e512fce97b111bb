"""TimmPyramid: models of timm as backbones, including MaxViT for images of any size.

Source of the models: https://github.com/huggingface/pytorch-image-models
"""

import re
from collections.abc import Sequence
from math import ceil
from typing import Any

import torch.nn.functional as F
from mmengine.registry import MODELS
from torch import Tensor, nn

from ..checkpoints.reading import load_pretrained, read_checkpoint
from ..utils.arguments import check_images, check_out_indices
from ..utils.errors import InvalidTypeError, InvalidValueError
from ..utils.suggestions import did_you_mean
from .pretrained import PretrainedModule

STRIDES = (4, 8, 16, 32)


@MODELS.register_module()
class TimmPyramid(PretrainedModule):
    """A model of timm whose stages give a feature pyramid.

    The model pads images with zeros below and on the right to a multiple of 32 pixels, and crops
    the maps. For the MaxViT family, it pads to a multiple of 32 times the window (224 pixels for a
    window of 7), because windows and grids have a fixed size. MaxViT has no mask, so it attends to
    the zeros.

    Args:
        model_name: Architecture, one of ``timm.list_models()``.
        out_indices: Stages whose output is returned, ascending. Later stages are not built.
        init_cfg: Initialization after timm's, such as ``dict(type='Pretrained', …)``; see
            :class:`mmrsir.models.pretrained.PretrainedModule`. The checkpoint may also be a file
            that timm publishes for the model. Such weights expect images normalized with the mean
            and deviation in ``network.pretrained_cfg``.
        **model_args: Arguments of the model, such as ``drop_path_rate``.

    Attributes:
        out_channels: C_i of each output.

    Raises:
        ImportError: timm is not installed.
        TypeError: ``out_indices`` is no sequence of integers, ``model_args`` has an argument that
            the model does not know, or has ``pretrained``.
        ValueError: The model is unknown or gives no such pyramid, or ``out_indices`` is out of
            range.
    """

    def __init__(
        self,
        model_name: str,
        out_indices: Sequence[int] = (0, 1, 2, 3),
        init_cfg: dict | list[dict] | None = None,
        **model_args: Any,
    ) -> None:
        super().__init__(init_cfg)
        self.out_indices = check_out_indices(out_indices, len(STRIDES))
        self.network = _build(model_name, self.out_indices, model_args)
        self.out_channels = tuple(self.network.feature_info.channels())
        self.divisor = STRIDES[-1] * max(_windows(self.network), default=1)

    def _load(self, settings: dict[str, Any]) -> None:
        """Load a checkpoint of this class, or one of timm's."""
        if _is_published(settings):
            load_pretrained(_with_names_of_timm(self.network), prefix='', **settings)
        else:
            super()._load(settings)

    def forward(self, x: Tensor) -> tuple[Tensor, ...]:
        """Extract a feature pyramid.

        Args:
            x: Normalized images, (B, 3, H, W), any H, W >= 1.

        Returns:
            One feature map for each of ``out_indices``: (B, C_i, ceil(H/s_i), ceil(W/s_i)),
            ``s_i = 4 * 2**i``.

        Raises:
            ValueError: ``x`` has another shape.
        """
        check_images(x, self)
        height, width = x.shape[2:]
        levels = self.network(F.pad(x, (0, -width % self.divisor, 0, -height % self.divisor)))
        strides = [STRIDES[stage] for stage in self.out_indices]
        return tuple(
            level[..., : ceil(height / stride), : ceil(width / stride)].contiguous()
            for level, stride in zip(levels, strides, strict=True)
        )


def _build(name: str, out_indices: tuple[int, ...], model_args: dict[str, Any]) -> Any:
    try:
        import timm
    except ImportError as error:
        raise ImportError('TimmPyramid needs timm: pip install timm') from error
    if 'pretrained' in model_args:
        raise InvalidTypeError(
            f'pretrained={model_args["pretrained"]!r} is not allowed: nothing is downloaded. '
            "Name a weight file of timm: init_cfg=dict(type='Pretrained', checkpoint=…)"
        )
    known = timm.list_models()
    if name not in known:
        hint = did_you_mean(name, known)
        raise InvalidValueError(f'model_name={name!r} is not in timm.list_models(){hint}')
    network = timm.create_model(
        name,
        pretrained=False,
        features_only=True,
        out_indices=[stage - len(STRIDES) for stage in out_indices],  # some have a level before
        **model_args,
    )
    strides = network.feature_info.reduction()
    layout = getattr(network, 'output_fmt', 'NCHW')
    fixed = network.pretrained_cfg.get('fixed_input_size') and not _windows(network)
    if strides != [STRIDES[stage] for stage in out_indices] or layout != 'NCHW' or fixed:
        raise InvalidValueError(
            f'model_name={name!r} does not give NCHW maps with strides 4, 8, 16, 32 '
            'for images of any size'
        )
    return network


def _windows(network: nn.Module) -> set[int]:
    """Return the sides of the windows and grids of a MaxViT; nothing for other models."""
    partitions = [getattr(module, 'partition_size', ()) for module in network.modules()]
    return {side for partition in partitions for side in partition}


def _is_published(settings: dict[str, Any]) -> bool:
    """Return whether a checkpoint has the names of a whole model of timm."""
    if 'prefix' in settings:
        return False
    weights = read_checkpoint(settings['checkpoint'])['state_dict']
    return not any(key.startswith(('backbone.', 'network.')) for key in weights)


def _with_names_of_timm(network: nn.Module) -> nn.Module:
    """Return the modules of a feature extractor by their names in the whole model.

    A feature extractor has the members of a sequence, such as ``stages.0``, as ``stages_0``.
    """
    model = nn.Module()
    for name, module in network.named_children():
        sequence, member = re.fullmatch(r'(.+?)(?:_(\d+))?', name).groups()  # type: ignore[union-attr]
        if member is None:
            model.add_module(name, module)
            continue
        if not hasattr(model, sequence):
            model.add_module(sequence, nn.Module())
        model.get_submodule(sequence).add_module(member, module)
    return model
