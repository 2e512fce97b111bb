"""What is timed: a forward pass or a training step at an image size, batch size and precision."""

from dataclasses import dataclass
from math import ceil

import torch

from mmrsir.utils.arguments import check_choice

STEPS = ('forward', 'training')
# Type of the weights and the batch, and the type that autocast computes in.
PRECISIONS: dict[str, tuple[torch.dtype, torch.dtype | None]] = {
    'fp32': (torch.float32, None),
    'bf16': (torch.bfloat16, None),
    'fp16': (torch.float16, None),
    'amp-bf16': (torch.float32, torch.bfloat16),
    'amp-fp16': (torch.float32, torch.float16),
}


@dataclass(frozen=True)
class Case:
    """What is timed; all models of a case take turns.

    Args:
        step: ``'forward'``: in evaluation mode, without gradients; ``'training'``: forward and
            backward pass in training mode.
        height: Height of the images in pixels.
        width: Their width in pixels.
        batch: Number of images.
        precision: A key of :data:`PRECISIONS`.
        device: ``'cpu'``, ``'cuda'`` or ``'cuda:1'``.

    Raises:
        ValueError: ``step`` or ``precision`` is unknown.
    """

    step: str
    height: int
    width: int
    batch: int
    precision: str = 'fp32'
    device: str = 'cpu'

    def __post_init__(self) -> None:
        check_choice('step', self.step, STEPS)
        check_choice('precision', self.precision, PRECISIONS)

    def __str__(self) -> str:
        return f'{self.step}, {self.height} x {self.width}, batch {self.batch}, {self.precision}'

    @property
    def training(self) -> bool:
        """Whether there is a backward pass."""
        return self.step == 'training'

    @property
    def dtype(self) -> torch.dtype:
        """Type of the weights and the batch."""
        return PRECISIONS[self.precision][0]

    @property
    def tokens(self) -> int:
        """Tokens of an image at stride 4."""
        return ceil(self.height / 4) * ceil(self.width / 4)

    def autocast(self) -> torch.autocast:
        """Return the context of the forward pass."""
        dtype = PRECISIONS[self.precision][1]
        return torch.autocast(torch.device(self.device).type, dtype, enabled=dtype is not None)
