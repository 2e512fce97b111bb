"""Important region windows (IR-Win): arXiv 2304.06250, Section 3.2.

Shape suffixes: B batch, L tokens, C channels.
"""

from torch import Tensor

from ..exporting import importance_order
from ..importance import IMPORTANCE_MAPS
from .base import Arrangement, MixerSettings, OrderedWindows


class ImportantRegionWindows(OrderedWindows):
    """Attention inside windows of tokens that are about equally important."""

    def __init__(self, settings: MixerSettings) -> None:
        super().__init__(settings)
        self.importance = IMPORTANCE_MAPS[settings.importance]()

    def arrange(
        self, x_BLC: Tensor, inverse_BL: Tensor | None, grid: tuple[int, int]
    ) -> Arrangement:
        """Sort tokens by importance; see :meth:`Mixer.arrange`."""
        importance_BL = self.importance(x_BLC, inverse_BL, grid)
        gate_BL = importance_BL if self.importance.gates else None
        return Arrangement(importance_order(importance_BL), gate_BL, importance_BL)
