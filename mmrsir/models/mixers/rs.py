"""Random sampling windows (RS-Win): arXiv 2304.06250, Section 3.1.

Shape suffixes: B batch, L tokens, C channels.
"""

import torch
from torch import Tensor

from ..order import (
    compiled_fixed_order,
    fixed_order,
    is_recorded,
    random_order,
    recorded_fixed_order,
)
from .base import Arrangement, MixerSettings, OrderedWindows


class RandomSamplingWindows(OrderedWindows):
    """Attention inside windows of tokens drawn uniformly from the whole feature map.

    In training each sample gets an order of its own from the global generator. In
    evaluation the order is fixed by (seed, block, L), or drawn as in training with
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
        """Draw or look up the order; see :meth:`Mixer.arrange`."""
        batch_size, num_tokens = x_BLC.shape[0], grid[0] * grid[1]
        if self.training or self.eval_sampling == 'random':
            return Arrangement(random_order(batch_size, num_tokens, x_BLC.device))
        if not torch.compiler.is_compiling():  # torch.jit's tracer gives the length as a tensor
            order_L = fixed_order(self.seed, self.block, int(num_tokens), x_BLC.device)
        elif is_recorded():
            order_L = recorded_fixed_order(self.seed, self.block, num_tokens, x_BLC.device)
        else:
            order_L = compiled_fixed_order(self.seed, self.block, num_tokens, x_BLC.device)
        return Arrangement(order_L.expand(batch_size, -1))
