"""RSIR in timm: ``timm.create_model('rsir_tiny', features_only=True)``.

Importing this module registers ``rsir_nano``, ``rsir_tiny`` and so on, one for each variant,
with timm, for every project that takes its backbones from there. ``import mmrsir`` alone does not.
"""

from collections.abc import Sequence
from math import ceil
from typing import Any

from timm.layers import ClassifierHead
from timm.models import build_model_with_cfg, generate_default_cfgs, register_model
from torch import Tensor, nn

from .models import ARCHS, RSIRTransformer
from .utils.errors import InvalidTypeError, InvalidValueError
from .weights import available

STRIDES = (4, 8, 16, 32)
LEVELS = tuple(range(len(STRIDES)))
# In names of configs and weights.
LETTERS = dict(nano='n', small='s', tiny='t', base='b', base36='b36')
CLASSES_AND_SIDES = dict(
    in1k=(1000, 224), tinyimagenet=(200, 64), caltech256=(256, 224), miniin=(100, 224)
)


class TimmRSIR(nn.Module):
    """RSIR Transformer with timm's interface, and the weights' names of mmpretrain's classifier.

    Args:
        arch: As for :class:`mmrsir.models.RSIRTransformer`.
        num_classes: Classes of the linear head; 0 for none.
        in_chans: Channels of the images.
        global_pool: Pooling before the head, ``'avg'``, ``'max'`` or another one of timm's; ``''``
            for none.
        drop_rate: Dropout before the head.
        levels: Stages whose maps :meth:`forward_intermediates` can give, ascending.
        **settings: Further arguments of the backbone, such as ``importance='cbam'``.

    Attributes:
        feature_info: Channels and stride of each stage.
        num_features: Channels of the last map.

    Raises:
        TypeError: An argument is unknown, or has the wrong type.
        ValueError: An argument is out of range.
    """

    def __init__(
        self,
        arch: str,
        num_classes: int = 1000,
        in_chans: int = 3,
        global_pool: str = 'avg',
        drop_rate: float = 0.0,
        levels: Sequence[int] = (3,),
        **settings: Any,
    ) -> None:
        super().__init__()
        if 'output_stride' in settings:
            raise InvalidTypeError(
                f'output_stride={settings["output_stride"]} is not allowed: '
                f'the strides of RSIR are {", ".join(map(str, STRIDES))}'
            )
        self.backbone = RSIRTransformer(
            arch, out_indices=tuple(levels), in_channels=in_chans, **settings
        )
        if not self.backbone.patch_embed.projection.weight.is_meta:  # there is nothing to set
            self.backbone.init_weights()
        channels = ARCHS[arch]['embed_dims']
        self.feature_info = [
            dict(num_chs=channels * 2**level, reduction=stride, module=f'stage{level}')
            for level, stride in enumerate(STRIDES)
        ]
        self.num_classes = num_classes
        self.num_features = self.head_hidden_size = self.backbone.out_channels[-1]
        self.head = ClassifierHead(self.num_features, num_classes, global_pool, drop_rate)

    def forward(self, x: Tensor) -> Tensor:
        """Classify normalized images, (B, C, H, W), any H, W >= 1.

        Returns logits, (B, num_classes); without classes the pooled features.
        """
        return self.forward_head(self.forward_features(x))

    def forward_features(self, x: Tensor) -> Tensor:
        """Return the last map, (B, num_features, H', W')."""
        return self.backbone(x)[-1]

    def forward_head(self, x: Tensor, pre_logits: bool = False) -> Tensor:
        """Pool the last map and classify; ``pre_logits`` gives the features, (B, num_features)."""
        return self.head(x, pre_logits=pre_logits)

    def forward_intermediates(
        self,
        x: Tensor,
        indices: int | Sequence[int] | None = None,
        norm: bool = False,
        stop_early: bool = False,
        output_fmt: str = 'NCHW',
        intermediates_only: bool = False,
    ) -> list[Tensor] | tuple[Tensor, list[Tensor]]:
        """Return the maps of several stages, (B, C_i, ceil(H/s_i), ceil(W/s_i)).

        Before them comes the last map, unless ``intermediates_only``. ``norm`` and ``stop_early``
        change nothing: each map is normalized, and later stages are not built.

        ``indices`` are stages among ``levels``; a number n means the last n stages, None all.
        """
        if output_fmt != 'NCHW':
            raise InvalidValueError(f"output_fmt={output_fmt!r} must be 'NCHW'")
        stages = _find_stages(indices)
        missing = [stage for stage in stages if stage not in self.backbone.out_indices]
        if missing:
            raise InvalidValueError(
                f'the model gives stages {self.backbone.out_indices}, not {missing}: '
                'name those that you want as create_model(…, features_only=True, out_indices=…)'
            )
        maps = self.backbone(x)
        wanted = [maps[self.backbone.out_indices.index(stage)] for stage in stages]
        return wanted if intermediates_only else (maps[-1], wanted)

    def prune_intermediate_layers(
        self, indices: int | Sequence[int] = 1, prune_norm: bool = False, prune_head: bool = True
    ) -> list[int]:
        """Drop the head, and return the given stages counted from the first; norms stay."""
        if prune_head:
            self.reset_classifier(0, '')
        return _find_stages(indices)

    def get_classifier(self) -> nn.Module:
        return self.head.fc

    def reset_classifier(self, num_classes: int, global_pool: str | None = None) -> None:
        """Put a new linear layer into the head; ``global_pool=None`` keeps the pooling."""
        self.num_classes = num_classes
        self.head.reset(num_classes, global_pool)

    def set_grad_checkpointing(self, enable: bool = True) -> None:
        """Recompute the blocks' activations in the backward pass to save memory."""
        for stage in self.backbone.stages:
            for block in stage.blocks:
                block.with_cp = enable

    def group_matcher(self, coarse: bool = False) -> Any:
        """Return what tells the layer of a parameter, for layer-wise learning rates."""
        if coarse:
            return dict(
                stem=r'^backbone\.patch_embed', stages=r'^backbone\.(?:stages|merging)\.(\d+)'
            )
        return lambda name: self.backbone.get_layer_depth(name, 'backbone.')[0]


def _find_stages(indices: int | Sequence[int] | None) -> list[int]:
    """Return the stages that timm's ``out_indices`` means, counted from the first."""
    if indices is None:
        return list(LEVELS)
    if isinstance(indices, int):
        indices = range(-indices, 0)
    for index in indices:
        if not -len(LEVELS) <= index < len(LEVELS):
            raise InvalidValueError(
                f'out_indices={tuple(indices)}: there is no stage {index}, but 0 to {LEVELS[-1]}'
            )
    return [index % len(LEVELS) for index in indices]


def _keep_known(weights: dict[str, Tensor], model: nn.Module) -> dict[str, Tensor]:
    """Leave out the weights of levels that a feature extractor does not have."""
    known = model.state_dict()
    return {key: value for key, value in weights.items() if key in known}


def _default_cfgs() -> dict[str, dict[str, Any]]:
    """Describe each model, and weights of its classifiers that are on this machine.

    ``rsir_nano.tinyimagenet`` has the weights ``mmrsir://rsir_n_tinyimagenet``.
    """
    cfgs: dict[str, dict[str, Any]] = {}
    found = available()
    for arch in ARCHS:
        tagged = {}
        for data_set, (classes, side) in CLASSES_AND_SIDES.items():
            path = found.get(f'rsir_{LETTERS[arch]}_{data_set}')
            if path is not None and path.suffix == '.safetensors':
                cfg = dict(_default_cfg(classes, side), file=str(path))
                tagged[f'rsir_{arch}.{data_set}'] = cfg
        cfgs |= tagged or {f'rsir_{arch}': _default_cfg(1000, 224)}
    return cfgs


def _default_cfg(classes: int, side: int) -> dict[str, Any]:
    return dict(
        input_size=(3, side, side),
        pool_size=(ceil(side / STRIDES[-1]),) * 2,
        num_classes=classes,
        first_conv='backbone.patch_embed.projection',
        classifier='head.fc',
        license='apache-2.0',
        paper_ids='arXiv:2304.06250',
        paper_name='RSIR Transformer',
    )


default_cfgs = generate_default_cfgs(_default_cfgs())


def _register(arch: str) -> None:
    def build(pretrained: bool = False, **kwargs: Any) -> nn.Module:
        levels: Sequence[int] = LEVELS[-1:]
        if kwargs.get('features_only'):
            kwargs['out_indices'] = _find_stages(kwargs.get('out_indices'))
            levels = sorted(set(kwargs['out_indices']))
        return build_model_with_cfg(
            TimmRSIR,
            f'rsir_{arch}',
            pretrained,
            feature_cfg=dict(feature_cls='getter'),
            pretrained_filter_fn=_keep_known,
            arch=arch,
            levels=levels,
            **kwargs,
        )

    build.__name__ = build.__qualname__ = f'rsir_{arch}'
    register_model(build)


for _arch in ARCHS:
    _register(_arch)
