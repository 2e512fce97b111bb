"""PyramidTransformer: patch embedding, stages, merging, and the output pyramid.

Shape suffixes: B batch, L tokens, C channels, H W grid.

Source: arXiv 2304.06250, Section 3.4; the hierarchy is Swin's (arXiv 2103.14030).
"""

from collections.abc import Mapping, Sequence
from itertools import accumulate
from typing import Any

import torch
from mmcv.cnn import is_norm
from mmengine.model import ModuleList
from mmengine.registry import MODELS
from torch import Tensor, nn

from ..utils.arguments import check_choice, check_images, check_int, check_out_indices
from ..utils.errors import InvalidTypeError, InvalidValueError
from .arch import check_arch, check_window_size
from .downsampling import DOWNSAMPLINGS, PATCH_SIZE, build_merging, build_patch_embed
from .exporting import to_image
from .importance import IMPORTANCE_MAPS
from .mixers import MIXERS, MixerSettings
from .modes import is_transformed
from .pretrained import PretrainedModule
from .stage import Stage
from .traces import BlockTrace, trace_stage

SCRATCH_INIT = [
    dict(type='TruncNormal', layer='Linear', std=0.02, bias=0.0),
    dict(type='Kaiming', layer='Conv2d', mode='fan_out', bias=0.0),
    dict(type='Constant', layer='LayerNorm', val=1.0, bias=0.0),
]


@MODELS.register_module()
class PyramidTransformer(PretrainedModule):
    """Transformer backbone with token mixers that you choose by name.

    Args:
        arch: ``dict(embed_dims=…, depths=(…), num_heads=(…))``: channels of the first
            stage (they double each stage), blocks and attention heads of each stage.
        mixers: Names from ``mmrsir.models.mixers.MIXERS``. They alternate over the blocks of a
            stage.
        downsampling: ``'overlap'``: 7x7 stride-4 and 3x3 stride-2 convolutions;
            ``'linear'``: Swin's patch embedding and merging.
        window_size: Side of a window, one for all stages or one for each. A window holds
            ``window_size ** 2`` tokens.
        importance: Importance map of the ``'ir'`` mixer, ``'mean'`` or ``'cbam'``.
        position: Positional encoding. ``'peg'``: a residual 3x3 depthwise convolution before
            the blocks of each stage; None: nothing.
        eval_sampling: Windows of the ``'rs'`` mixer in evaluation. ``'fixed'``: they depend only
            on (seed, block, L); ``'random'``: new ones each time.
        seed: Seed of the fixed windows.
        drop_path_rate: Rate of stochastic depth of the last block. It grows linearly from 0.
        out_indices: Stages whose output is returned, ascending. Later stages are not
            built.
        frozen_stages: -1 freezes nothing. k freezes the patch embedding and the first k stages,
            as in mmdet and mmseg: they get no gradient and stay in evaluation mode.
        norm_eval: Keep all normalization layers in evaluation mode.
        with_cp: Recompute the blocks' activations in the backward pass to save memory.
        init_cfg: Initialization after the usual one (truncated normal, std 0.02), such as
            ``dict(type='Pretrained', checkpoint=…)``; see :class:`.pretrained.PretrainedModule`.
        in_channels: Channels of the images.

    Attributes:
        depths: Blocks of each stage that is built.
        out_channels: C_i of each output.

    Raises:
        TypeError: An argument has the wrong type.
        ValueError: An argument is unknown or out of range.
    """

    fresh_weights = r'norm\d+\.'  # a classifier has none for the levels that it does not read

    def __init__(
        self,
        arch: Mapping[str, Any],
        mixers: Sequence[str] = ('rs', 'ir'),
        downsampling: str = 'overlap',
        window_size: int | Sequence[int] = 7,
        importance: str = 'mean',
        position: str | None = 'peg',
        eval_sampling: str = 'fixed',
        seed: int = 0,
        drop_path_rate: float = 0.1,
        out_indices: Sequence[int] = (0, 1, 2, 3),
        frozen_stages: int = -1,
        norm_eval: bool = False,
        with_cp: bool = False,
        init_cfg: dict | list[dict] | None = None,
        in_channels: int = 3,
    ) -> None:
        super().__init__(init_cfg, SCRATCH_INIT)
        embed_dims, depths, num_heads = check_arch(arch)
        num_stages = len(depths)
        if isinstance(mixers, str) or not mixers:
            raise InvalidTypeError(f'mixers={mixers!r} must be a sequence of one or more names')
        for name in mixers:
            check_choice('mixers', name, MIXERS)
        check_choice('downsampling', downsampling, DOWNSAMPLINGS)
        check_choice('importance', importance, IMPORTANCE_MAPS)
        check_choice('position', position, ('peg', None))
        check_choice('eval_sampling', eval_sampling, ('fixed', 'random'))
        check_int('seed', seed, minimum=0)
        check_int('in_channels', in_channels, minimum=1)
        check_int('frozen_stages', frozen_stages, minimum=-1, maximum=num_stages)
        if not isinstance(drop_path_rate, (int, float)):
            raise InvalidTypeError(f'drop_path_rate={drop_path_rate!r} must be a number')
        if not 0 <= drop_path_rate < 1:
            raise InvalidValueError(
                f'drop_path_rate={drop_path_rate} must be at least 0 and below 1'
            )
        window_sizes = check_window_size(window_size, num_stages)
        self.out_indices = check_out_indices(out_indices, num_stages)
        self.frozen_stages = frozen_stages
        self.norm_eval = norm_eval
        self.depths = depths[: self.out_indices[-1] + 1]

        widths = [embed_dims * 2**stage for stage in range(len(self.depths))]
        self.patch_embed = build_patch_embed(downsampling, in_channels, embed_dims)
        self.merging = ModuleList(build_merging(downsampling, width) for width in widths[:-1])
        num_blocks = sum(depths)
        drop_path_rates = [drop_path_rate * i / max(1, num_blocks - 1) for i in range(num_blocks)]
        first_blocks = [0, *accumulate(depths)]
        self.stages = ModuleList()
        for stage, depth in enumerate(self.depths):
            first = first_blocks[stage]
            stage_mixers = [
                MIXERS[mixers[i % len(mixers)]](
                    MixerSettings(
                        embed_dims=widths[stage],
                        num_heads=num_heads[stage],
                        window_size=window_sizes[stage],
                        block=first + i,
                        stage=stage,
                        index=i,
                        importance=importance,
                        eval_sampling=eval_sampling,
                        seed=seed,
                    )
                )
                for i in range(depth)
            ]
            rates = drop_path_rates[first : first + depth]
            self.stages.append(Stage(stage_mixers, widths[stage], rates, position, with_cp))
        self.out_channels = tuple(widths[stage] for stage in self.out_indices)
        for stage in self.out_indices:  # a norm without a gradient would upset DDP
            self.add_module(f'norm{stage}', nn.LayerNorm(widths[stage]))
        self._freeze_stages()

    def forward(self, x: Tensor) -> tuple[Tensor, ...]:
        """Extract a feature pyramid.

        Args:
            x: Normalized images, (B, in_channels, H, W), any H, W >= 1.

        Returns:
            One feature map for each of ``out_indices``: (B, C_i, ceil(H/s_i), ceil(W/s_i)),
            ``C_i = embed_dims * 2**i``, ``s_i = 4 * 2**i``.

        Raises:
            ValueError: ``x`` has another shape.
        """
        check_images(x, self, self.patch_embed.projection.in_channels)
        outputs = []
        x_BLC, grid = self._embed(x)
        for index, stage in enumerate(self.stages):
            if index > 0:
                x_BLC, grid = self.merging[index - 1](x_BLC, grid)
            x_BLC = stage(x_BLC, grid)
            if index in self.out_indices:
                normed_BLC = getattr(self, f'norm{index}')(x_BLC)
                outputs.append(to_image(normed_BLC, grid).contiguous())
        return tuple(outputs)

    def trace(self, x: Tensor, point: tuple[int, int]) -> list[list[BlockTrace]]:
        """Run the backbone and report, block by block, what one place of the images sees.

        Features are those of :meth:`forward`. They are computed block by block in raster order,
        which is slower. Gradients flow where they are enabled.

        Args:
            x: Normalized images, (B, in_channels, H, W), any H, W >= 1.
            point: (x, y), a pixel of the images.

        Returns:
            For each stage a report of each of its blocks.

        Raises:
            ValueError: ``x`` has another shape, or the point is outside.
        """
        check_images(x, self, self.patch_embed.projection.in_channels)
        column, row = point
        height, width = x.shape[2:]
        if not (0 <= column < width and 0 <= row < height):
            raise InvalidValueError(
                f'point={point} must be inside the image of {width} x {height} pixels'
            )
        traces: list[list[BlockTrace]] = []
        x_BLC, grid = self._embed(x)
        for index, stage in enumerate(self.stages):
            if index > 0:
                x_BLC, grid = self.merging[index - 1](x_BLC, grid)
            stride = PATCH_SIZE * 2**index
            query = row // stride * grid[1] + column // stride
            traces.append(trace_stage(stage, x_BLC, grid, query))
            x_BLC = traces[-1][-1].features_BCHW.flatten(2).transpose(1, 2)
        return traces

    def train(self, mode: bool = True) -> 'PyramidTransformer':
        """Set the mode, and return itself; what is frozen stays in evaluation mode."""
        super().train(mode)
        self._freeze_stages()
        if self.norm_eval:
            for module in self.modules():
                if is_norm(module):
                    module.eval()
        return self

    def get_layer_depth(self, param_name: str, prefix: str = '') -> tuple[int, int]:
        """Return the layer of a parameter, for layer-wise learning-rate decay.

        Args:
            param_name: Name of the parameter in the model.
            prefix: Name of this backbone in the model, with a dot.

        Returns:
            Its layer and the number of layers: 0 is the patch embedding, each block is one
            (with the merging or position encoding before it), and the last one is all that
            comes after the blocks: the output norms, neck and head.
        """
        num_layers = sum(self.depths) + 2
        kind, _, rest = param_name.removeprefix(prefix).partition('.')
        if not param_name.startswith(prefix) or kind not in ('patch_embed', 'merging', 'stages'):
            return num_layers - 1, num_layers
        if kind == 'patch_embed':
            return 0, num_layers
        parts = rest.split('.')
        stage = int(parts[0]) + (kind == 'merging')
        block = int(parts[2]) if parts[1] == 'blocks' else 0
        return sum(self.depths[:stage]) + block + 1, num_layers

    def _embed(self, x: Tensor) -> tuple[Tensor, tuple[int, int]]:
        """Turn images into tokens; channels-last needs no transposition for that."""
        if not is_transformed(x):
            x = x.contiguous(memory_format=torch.channels_last)
        return self.patch_embed(x)

    def _freeze_stages(self) -> None:
        if self.frozen_stages < 0:
            return
        frozen: list[nn.Module] = [self.patch_embed]
        for index in range(min(self.frozen_stages, len(self.stages))):
            frozen.append(self.stages[index])
            if index > 0:
                frozen.append(self.merging[index - 1])
            if index in self.out_indices:
                frozen.append(getattr(self, f'norm{index}'))
        for module in frozen:
            module.eval()
            module.requires_grad_(False)
