"""``_base_ = 'mmrsir::…'``: configs of other projects inherit from those of mmrsir.

mmengine resolves such a name for a fixed list of packages only, and builds what it finds there
in the scope of that package. The configs of mmrsir are written for mmdet, mmseg and mmpretrain:
what inherits from them stays in the scope of its ``default_scope``.
"""

from mmengine.config import Config
from mmengine.config.utils import MODULE2PACKAGE

PACKAGE = 'mmrsir'
_find_config = Config._get_cfg_path


def find_config(cfg_path: str, filename: str) -> tuple[str, str | None]:
    """Find a config that another one inherits from, as mmengine does.

    Args:
        cfg_path: What stands in ``_base_``.
        filename: The config that it stands in.

    Returns:
        Path of the file, and the scope of what it holds; None for that of the heir.
    """
    path, scope = _find_config(cfg_path, filename)
    return path, None if scope == PACKAGE else scope


def enable() -> None:
    """Let mmengine find the configs of mmrsir."""
    MODULE2PACKAGE[PACKAGE] = PACKAGE
    Config._get_cfg_path = staticmethod(find_config)
