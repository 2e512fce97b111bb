"""Random sampling windows (RS-Win): arXiv 2304.06250, Section 3.1.

Shape suffixes: B batch, L tokens, C channels.
"""

from torch import Tensor

from ..fixed_order import fixed_order
from ..order import random_order
from .base import Arrangement, MixerSettings, OrderedWindows


class RandomSamplingWindows(OrderedWindows):
    """Attention inside windows of tokens sampled uniformly from the whole feature map.

    In training, the global generator gives each sample its own order. In evaluation, the order
    depends only on (seed, block, L), or is sampled as in training with
    ``eval_sampling='random'``.
    """

    def __init__(self, settings: MixerSettings) -> None:
        super().__init__(settings)
        self.block = settings.block
        self.seed = settings.seed
        self.eval_sampling = settings.eval_sampling

    def arrange(
        self, x_BLC: Tensor, inverse_BL: Tensor | None, grid: tuple[int, int]
    ) -> Arrangement:
        """Sample or look up the order; see :meth:`Mixer.arrange`."""
        batch_size, num_tokens = x_BLC.shape[0], grid[0] * grid[1]
        if self.training or self.eval_sampling == 'random':
            return Arrangement(random_order(batch_size, num_tokens, x_BLC.device))
        order_L = fixed_order(self.seed, self.block, num_tokens, x_BLC)
        return Arrangement(order_L.expand(batch_size, -1))
