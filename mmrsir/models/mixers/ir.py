"""Important region windows (IR-Win): arXiv 2304.06250, Section 3.2.

Shape suffixes: B batch, L tokens, M tokens of whole windows (:mod:`..order`), C channels.
"""

from torch import Tensor

from ..importance import IMPORTANCE_MAPS
from ..order import importance_order
from ..windows import WindowAttention
from .base import Arrangement, Mixer, MixerSettings


class ImportantRegionWindows(Mixer):
    """Attention inside windows of tokens that are about equally important."""

    def __init__(self, settings: MixerSettings) -> None:
        super().__init__()
        self.importance = IMPORTANCE_MAPS[settings.importance]()
        self.window_tokens = settings.window_size**2
        self.attn = WindowAttention(settings.embed_dims, settings.num_heads, self.window_tokens)

    def arrange(
        self, x_BLC: Tensor, inverse_BL: Tensor | None, grid: tuple[int, int]
    ) -> Arrangement:
        """Sort tokens by importance; see :meth:`Mixer.arrange`."""
        importance_BL = self.importance(x_BLC, inverse_BL, grid)
        order_BL = importance_order(importance_BL)
        if not self.importance.gates:
            return Arrangement(order_BL)
        return Arrangement(order_BL, importance_BL.gather(1, order_BL))

    def forward(self, x_BMC: Tensor, grid: tuple[int, int]) -> Tensor:
        """Attend inside windows; see :meth:`Mixer.forward`."""
        return self.attn(x_BMC)
