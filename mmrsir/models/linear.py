"""Linear layers of tokens.

On the CPU torch multiplies matrices with the BLAS that it was built with, convolutions with
oneDNN. A linear layer is a 1x1 convolution whose pixels are the tokens, and oneDNN was about
twice as fast as MKL on the processor that was measured, AMD's (docs/performance.md).

Shape suffixes: C channels.
"""

import torch
from torch import Tensor, nn
from torch.nn import functional as F

HAS_ONEDNN = torch.backends.mkldnn.is_available()


class Linear(nn.Linear):
    """Linear layer with the weights of ``nn.Linear``, through oneDNN on the CPU."""

    def forward(self, x: Tensor) -> Tensor:
        """Multiply.

        Args:
            x: Tokens, (…, C).

        Returns:
            Tokens, (…, C').
        """
        if not _through_onednn(x):
            return super().forward(x)
        # An image one pixel wide in channels-last layout, so that nothing is moved.
        pixels = x.reshape(1, -1, 1, self.in_features).permute(0, 3, 1, 2)
        out = F.conv2d(pixels, self.weight.view(*self.weight.shape, 1, 1), self.bias)
        return out.permute(0, 2, 3, 1).reshape(*x.shape[:-1], self.out_features)


def _through_onednn(x: Tensor) -> bool:
    """Return whether an input goes through a convolution: some float32 on the CPU."""
    return (
        x.device.type == 'cpu'
        and x.dtype == torch.float32
        and x.numel() > 0
        and HAS_ONEDNN
        # Compiled it gains nothing, and traced or exported it would hide what it is.
        and not torch.compiler.is_compiling()
        and not torch.jit.is_tracing()
        and not torch.is_autocast_enabled('cpu')
        and torch.get_num_threads() > 1  # with one thread torch convolves without oneDNN
    )
