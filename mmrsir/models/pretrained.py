"""PretrainedModule: a backbone that takes weights out of a checkpoint of any model."""

from collections.abc import Sequence
from typing import Any

from mmengine.logging import print_log
from mmengine.model import BaseModule, PretrainedInit

from ..checkpoint import load_pretrained

PRETRAINED = ('Pretrained', PretrainedInit)


class PretrainedModule(BaseModule):
    """A module whose ``init_cfg`` may name a checkpoint, of which it reports what matched.

    Args:
        init_cfg: Initialization. ``dict(type='Pretrained', checkpoint=…)`` takes the backbone
            out of a checkpoint of any model; its further settings are those of
            :func:`mmrsir.checkpoint.load_pretrained`. With ``checkpoint=None`` the backbone
            starts from scratch.
        scratch_init: Initialization before it.
    """

    def __init__(
        self, init_cfg: dict | list[dict] | None, scratch_init: Sequence[dict] = ()
    ) -> None:
        given = [init_cfg] if isinstance(init_cfg, dict) else list(init_cfg or [])
        others = [cfg for cfg in given if cfg.get('type') not in PRETRAINED]
        super().__init__(init_cfg=[*scratch_init, *others])
        self.pretrained = [cfg for cfg in given if cfg.get('type') in PRETRAINED]

    def init_weights(self) -> None:
        """Initialize the weights, and load those that ``init_cfg`` names.

        Raises:
            CheckpointMismatchError: A checkpoint has too few of this backbone's weights.
            FileNotFoundError: There is no such checkpoint.
        """
        if self.is_init:
            return
        super().init_weights()
        for cfg in self.pretrained:
            unused = ('type', 'map_location')  # weights are read to the CPU
            settings = {key: value for key, value in cfg.items() if key not in unused}
            if settings.get('checkpoint') is None:
                print_log('No pretrained checkpoint: the backbone starts from scratch', 'current')
            else:
                self._load(settings)

    def _load(self, settings: dict[str, Any]) -> None:
        """Load a checkpoint, by arguments of :func:`mmrsir.checkpoint.load_pretrained`."""
        load_pretrained(self, **settings)
