"""RSIRTransformer: the variants of the RSIR Transformer.

Source: arXiv 2304.06250, Table 1.
"""

from collections.abc import Mapping, Sequence
from typing import Any

from mmengine.registry import MODELS

from ..utils.arguments import check_choice
from .pyramid import PyramidTransformer

ARCHS: dict[str, dict[str, Any]] = {
    # Ours, not the paper's: small enough to train on a CPU, and 7 M parameters for small data sets.
    'nano': dict(embed_dims=32, depths=(2, 2, 4, 2), num_heads=(2, 2, 4, 8)),
    'small': dict(embed_dims=48, depths=(2, 4, 4, 2), num_heads=(3, 3, 6, 12)),
    # RSIR-T, RSIR-B of Table 1.
    'tiny': dict(embed_dims=64, depths=(2, 2, 16, 2), num_heads=(4, 4, 8, 16)),
    'base': dict(embed_dims=96, depths=(2, 4, 24, 2), num_heads=(4, 8, 16, 32)),
    # With 36 blocks in stage 3 the size is the one published for RSIR-B (docs/paper.md).
    'base36': dict(embed_dims=96, depths=(2, 4, 36, 2), num_heads=(4, 8, 16, 32)),
}


@MODELS.register_module()
class RSIRTransformer(PyramidTransformer):
    """RSIR Transformer: alternates random sampling windows and important region windows.

    Args:
        arch: ``'nano'`` or ``'small'`` (ours, not the paper's), ``'tiny'`` (RSIR-T), ``'base'``
            (RSIR-B as in Table 1), ``'base36'`` (RSIR-B of the published size), or a dict as in
            :class:`PyramidTransformer`.
        window_size: Side of a window. :class:`PyramidTransformer` describes this argument and
            all that follow in full.
        importance: Importance map, ``'mean'`` (Algorithm 1) or ``'cbam'`` (Section 3.2).
        position: Positional encoding, ``'peg'`` or None (the literal paper).
        eval_sampling: Random windows in evaluation, ``'fixed'`` or ``'random'``
            (Algorithm 1).
        seed: Seed of the fixed windows.
        drop_path_rate: Rate of stochastic depth of the last block.
        out_indices: Stages whose output is returned.
        frozen_stages: -1, or the number of frozen stages besides the patch embedding.
        norm_eval: Keep all normalization layers in evaluation mode.
        with_cp: Recompute the blocks' activations in the backward pass.
        init_cfg: Initialization after the usual one.
        in_channels: Channels of the images.

    Raises:
        TypeError: An argument has the wrong type.
        ValueError: An argument is unknown or out of range.

    Examples:
        >>> model = RSIRTransformer('tiny').eval()
        >>> [tuple(level.shape) for level in model(torch.zeros(1, 3, 224, 224))]
        [(1, 64, 56, 56), (1, 128, 28, 28), (1, 256, 14, 14), (1, 512, 7, 7)]
    """

    def __init__(
        self,
        arch: str | Mapping[str, Any] = 'tiny',
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
        if isinstance(arch, str):
            check_choice('arch', arch, ARCHS)
            arch = ARCHS[arch]
        super().__init__(
            arch,
            mixers=('rs', 'ir'),
            window_size=window_size,
            importance=importance,
            position=position,
            eval_sampling=eval_sampling,
            seed=seed,
            drop_path_rate=drop_path_rate,
            out_indices=out_indices,
            frozen_stages=frozen_stages,
            norm_eval=norm_eval,
            with_cp=with_cp,
            init_cfg=init_cfg,
            in_channels=in_channels,
        )
