"""PretrainedModule: a backbone that loads its weights from a checkpoint of any model."""

from collections.abc import Sequence
from typing import Any, TypeVar

from mmengine.model import BaseModule, PretrainedInit

from ..checkpoints.config_text import read_settings
from ..checkpoints.reading import NOTHING, load_pretrained, read_checkpoint
from ..utils.errors import InvalidValueError
from ..utils.run_log import has_run_log, log_information
from ..utils.settings import type_name

Built = TypeVar('Built', bound='PretrainedModule')
PRETRAINED = ('Pretrained', PretrainedInit)


class PretrainedModule(BaseModule):
    """A module whose ``init_cfg`` may name a checkpoint; it reports which weights matched.

    Args:
        init_cfg: Initialization. ``dict(type='Pretrained', checkpoint=…)`` loads the backbone
            from a checkpoint of any model. Its further settings are those of
            :func:`mmrsir.checkpoints.reading.load_pretrained`. With ``checkpoint=None`` the
            backbone starts from scratch.
        scratch_init: Initialization before ``init_cfg``.

    Attributes:
        fresh_weights: Pattern of the keys that a checkpoint of another task cannot have.
    """

    fresh_weights = NOTHING

    def __init__(
        self, init_cfg: dict | list[dict] | None, scratch_init: Sequence[dict] = ()
    ) -> None:
        given = [init_cfg] if isinstance(init_cfg, dict) else list(init_cfg or [])
        others = [cfg for cfg in given if cfg.get('type') not in PRETRAINED]
        super().__init__(init_cfg=[*scratch_init, *others])
        self.pretrained = [cfg for cfg in given if cfg.get('type') in PRETRAINED]

    @classmethod
    def from_pretrained(cls: type[Built], checkpoint: str, **settings: Any) -> Built:
        """Build the backbone of a checkpoint, with its weights.

        Args:
            checkpoint: Name (``'mmrsir://…'``), file or address of the weights. It must hold the
                config of the model, as training and ``publish_model.py`` write it.
            **settings: Arguments of the class that replace those of the config, such as
                ``out_indices=(0, 1, 2, 3)`` to get a pyramid from a classifier.

        Returns:
            The backbone, in evaluation mode.

        Raises:
            CheckpointMismatchError: The checkpoint has too few of the backbone's weights.
            FileNotFoundError: There is no such checkpoint.
            ValueError: It has no config of the backbone, or a backbone of another class.

        Examples:
            >>> backbone = RSIRTransformer.from_pretrained('rsir_t_in1k.pth', out_indices=(1, 3))
        """
        backbone = cls(**{**_find_settings(cls.__name__, checkpoint), **settings})
        backbone.pretrained = [dict(type='Pretrained', checkpoint=checkpoint)]
        backbone.init_weights()
        return backbone.eval()

    def init_weights(self) -> None:
        """Initialize the weights, then load the checkpoint of ``init_cfg``."""
        if self.is_init:
            return
        super().init_weights()
        for cfg in self.pretrained:
            unused = ('type', 'map_location')  # weights are read to the CPU
            settings = {key: value for key, value in cfg.items() if key not in unused}
            if settings.get('checkpoint') is None:
                log_information('No pretrained checkpoint: the backbone starts from scratch')
            else:
                self._load(settings)

    def _load(self, settings: dict[str, Any]) -> None:
        load_pretrained(self, **settings)

    def _dump_init_info(self) -> None:
        """Write how each parameter was initialized to the log of a run; mmengine prints it too."""
        if has_run_log():
            super()._dump_init_info()


def _find_settings(name: str, checkpoint: str) -> dict[str, Any]:
    """Return the arguments of the backbone of a class from the config inside a checkpoint."""
    text = read_checkpoint(checkpoint).get('meta', {}).get('cfg')
    model = read_settings(text).get('model', {}) if text else {}
    backbone = model.get('backbone') or {}
    found = type_name(backbone)
    if not found:
        raise InvalidValueError(
            f'{checkpoint} does not say how its backbone is built: it has no config of a model. '
            f"Build it yourself: {name}(…, init_cfg=dict(type='Pretrained', "
            f'checkpoint={checkpoint!r})), then call init_weights()'
        )
    if found != name:
        raise InvalidValueError(
            f'{checkpoint} holds a {found}, not a {name}: call {found}.from_pretrained'
        )
    return {key: value for key, value in backbone.items() if key not in ('type', 'init_cfg')}
