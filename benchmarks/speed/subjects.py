"""The models that can be timed, by name, each with a random batch.

- ``rsir_tiny`` and the other variants of RSIR; ``literal``: RSIR-T by Algorithm 1 as written;
- ``timm:<model>``: a model of timm as a feature extractor;
- ``swin:<variant>`` or ``swin:<variant>:<window>``: timm's Swin Transformer in the shape of a
  variant of RSIR, with windows of 7 x 7, or of another side (``swin:nano:4``);
- ``mmdet:<class>``: a backbone of mmdet with its default arguments (``mmdet:SwinTransformer``
  is Swin-T);
- ``config:<file>`` or ``config:mmdet::<file>``: the whole model of a config.

A backbone gives its last four feature maps, as for a detector: those of RSIR and of mmdet are
normalized, those of timm are not. A whole model runs to the outputs of its heads, in training to
its loss: a detector chooses its proposals, but its predictions are not sorted out and drawn as
masks, which would depend on what its random weights happen to detect.
"""

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import torch
from mmengine.config import Config
from mmengine.hub import get_config
from mmengine.model import revert_sync_batchnorm
from mmengine.registry import MODELS, init_default_scope
from torch import Tensor, nn

from mmrsir.engine import launch, scopes
from mmrsir.models import ARCHS, RSIRTransformer
from mmrsir.utils.arguments import check_choice
from mmrsir.utils.errors import InvalidValueError
from mmrsir.utils.suggestions import did_you_mean

from .batches import random_batch
from .cases import Case
from .literal import LiteralRSIR

KINDS = ('timm', 'swin', 'mmdet', 'config')
SWIN = 'swin_tiny_patch4_window7_224'
PLAIN_NAMES = (*(f'rsir_{arch}' for arch in ARCHS), 'literal')
DROP_PATH_RATE = 0.1  # the default of ours and of mmdet's Swin Transformer
PARTITION = 7  # MaxViT's, at 224 pixels


@dataclass
class Subject:
    """A model with what it is called with.

    Args:
        module: The model.
        backward: Runs the backward pass from its outputs.
        arguments: What it is called with.
        keywords: What it is called with by name.
    """

    module: nn.Module
    backward: Callable[[Any], None]
    arguments: tuple[Any, ...] = ()
    keywords: dict[str, Any] = field(default_factory=dict)

    def forward(self, network: Callable[..., Any]) -> Any:
        """Call the model, or a compiled form of it."""
        return network(*self.arguments, **self.keywords)

    @property
    def resident_bytes(self) -> int:
        """Size of weights, buffers and batch in bytes."""
        inputs = [*self.arguments, *self.keywords.values()]
        tensors = [*self.module.parameters(), *self.module.buffers(), *inputs]
        return sum(one.nbytes for one in tensors if isinstance(one, Tensor))


def check_name(name: str) -> None:
    """Check a model's name as far as that is possible without building it."""
    kind, colon, rest = name.partition(':')
    if not colon:
        check_choice('model', name, (*PLAIN_NAMES, *(f'{kind}:…' for kind in KINDS)))
        return
    check_choice('kind of model', kind, KINDS)
    if kind == 'config':
        _read_config(rest)
        return
    if kind == 'swin':
        arch, _, window = rest.partition(':')
        check_choice('variant', arch, ARCHS)
        if window and not (window.isdecimal() and int(window)):
            raise InvalidValueError(f'window={window!r} must be a whole number, such as 4')
        return
    if kind == 'timm':
        import timm

        known = timm.list_models()
    else:
        MODELS.get(f'mmdet.{rest}')  # imports mmdet
        known = list(MODELS.children['mmdet'].module_dict)
    if rest not in known:
        raise InvalidValueError(f'{kind} has no model {rest!r}{did_you_mean(rest, known)}')


def build(name: str, case: Case) -> Subject:
    """Build a model with random weights, the same at each call, and a batch for it."""
    torch.manual_seed(0)
    kind, _, rest = name.partition(':')
    if kind == 'config':
        return _whole_model(rest, case)
    if kind == 'timm':
        module = _timm_model(rest, case)
    elif kind == 'swin':
        arch, _, window = rest.partition(':')
        shape = dict(ARCHS[arch], window_size=int(window or 7))
        shape['embed_dim'] = shape.pop('embed_dims')
        module = _timm_model(SWIN, case, **shape)
    elif kind == 'mmdet':
        module = MODELS.build(dict(type=f'mmdet.{rest}'))
    elif name == 'literal':
        module = LiteralRSIR(RSIRTransformer('tiny', drop_path_rate=DROP_PATH_RATE))
    else:
        module = RSIRTransformer(kind.removeprefix('rsir_'), drop_path_rate=DROP_PATH_RATE)
    return backbone_subject(module, case)


def backbone_subject(module: nn.Module, case: Case) -> Subject:
    """Prepare a model that turns images into feature maps."""
    gradients: list[Tensor] = []

    def backward(maps: Any) -> None:
        if not gradients:  # at the first call, which is not timed
            gradients.extend(torch.randn_like(one) for one in maps)
        torch.autograd.backward(maps, gradients)

    module.to(case.device, case.dtype).train(case.training)
    images = torch.randn(case.batch, 3, case.height, case.width)
    return Subject(module, backward, (images.to(case.device, case.dtype),))


def _timm_model(name: str, case: Case, **settings: Any) -> nn.Module:
    """Build a feature extractor of timm for an image size."""
    import timm

    if timm.get_pretrained_cfg(name).fixed_input_size:
        settings['img_size'] = (case.height, case.width)
        if name.startswith('max'):
            # timm would let the windows of MaxViT grow with the image, and their cost with its
            # square; in the paper (arXiv 2204.01697) their size is fixed.
            partition = tuple(_nearest_divisor(side // 32) for side in settings['img_size'])
            settings.update(transformer_window_size=partition, transformer_grid_size=partition)
    return timm.create_model(
        name,
        features_only=True,
        out_indices=(-4, -3, -2, -1),
        drop_path_rate=DROP_PATH_RATE,
        **settings,
    )


def _nearest_divisor(side: int) -> int:
    """Return the divisor of a grid's side that is nearest to MaxViT's partition."""
    divisors = [one for one in range(1, side + 1) if side % one == 0]
    return min(divisors, key=lambda one: abs(one - PARTITION), default=PARTITION)


def _read_config(source: str) -> Config:
    """Read a config file, or one that a library brings along."""
    if '::' not in source:
        return launch.read_config(source, None)
    check_choice('library', source.partition('::')[0], scopes.SCOPES)
    return get_config(source)


def _whole_model(source: str, case: Case) -> Subject:
    """Build the model of a config."""
    cfg = _read_config(source)
    init_default_scope(cfg.default_scope)
    for part in (cfg.model, cfg.model.get('backbone', {})):
        part.pop('pretrained', None)  # nothing is downloaded
        if part.get('init_cfg') is not None:
            part['init_cfg'] = None
    if 'data_preprocessor' in cfg:  # as mmengine's runner does
        cfg.model.setdefault('data_preprocessor', cfg.data_preprocessor)
    module = MODELS.build(cfg.model)
    module.init_weights()
    # Synchronized normalization works in several processes only.
    module = revert_sync_batchnorm(module).to(case.device, case.dtype).train(case.training)
    inputs, samples = random_batch(cfg.default_scope, module, case)

    def backward(losses: dict[str, Any]) -> None:
        module.parse_losses(losses)[0].backward()

    mode = 'loss' if case.training else 'tensor'
    return Subject(
        module, backward, (inputs.to(case.dtype),), dict(data_samples=samples, mode=mode)
    )
