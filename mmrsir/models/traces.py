"""What the backbone reports of a block when it is traced, for pictures and for study."""

from dataclasses import dataclass

from torch import Tensor


@dataclass(frozen=True)
class BlockTrace:
    """What one block did, and what its query patch saw.

    All maps are in raster order, whatever order the block works in.

    Attributes:
        mixer: Name of the token mixer, a key of :data:`mmrsir.models.mixers.MIXERS`.
        query: (row, column) of the patch that is followed, on the grid of the stage.
        weights_BhHW: Attention weights of the query by head; 0 for patches outside its window,
            and 1 in sum.
        windows_BHW: Number of the window of each patch, in the order in which windows are filled
            (IR-Win: from the most important patches on); None where windows are not taken from
            a sequence.
        importance_BHW: The map by which IR-Win sorts; None in other blocks.
        features_BCHW: Output of the block.
    """

    mixer: str
    query: tuple[int, int]
    weights_BhHW: Tensor
    windows_BHW: Tensor | None
    importance_BHW: Tensor | None
    features_BCHW: Tensor
