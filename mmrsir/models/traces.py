"""Reports of each block of a backbone and of one patch in it, for pictures and for study."""

from dataclasses import dataclass

from torch import Tensor

from .exporting import to_image
from .mixers import MIXERS
from .order import permute
from .stage import Stage, run_block, window_sequence


@dataclass(frozen=True)
class BlockTrace:
    """What one block computed, and which patches its query patch attended to.

    All maps are in raster order.

    Attributes:
        mixer: Name of the token mixer, a key of :data:`mmrsir.models.mixers.MIXERS`.
        query: (row, column) of the query patch on the grid of the stage.
        weights_BhHW: Attention weights of the query by head. They are 0 for patches outside its
            window, and sum to 1. See :meth:`mmrsir.models.mixers.base.Mixer.attention_weights`.
        windows_BHW: Number of the window of each patch. IR-Win's windows begin with the most
            important patches. None if the mixer does not cut a sequence into windows.
        importance_BHW: The importance map that IR-Win sorts by; None in other blocks.
        features_BCHW: Output of the block.
    """

    mixer: str
    query: tuple[int, int]
    weights_BhHW: Tensor
    windows_BHW: Tensor | None
    importance_BHW: Tensor | None
    features_BCHW: Tensor


def trace_stage(stage: Stage, x_BLC: Tensor, grid: tuple[int, int], query: int) -> list[BlockTrace]:
    """Run all blocks as Algorithm 1 is written, on tokens in raster order, and report each.

    ``query`` is the index of the query token in raster order.
    """
    if stage.peg is not None:
        x_BLC = stage.peg(x_BLC, grid)
    traces = []
    for block in stage.blocks:
        mixer, before_BLC = block.mixer, x_BLC
        x_BLC, inverse_BL, arrangement = run_block(block, before_BLC, None, grid, indexed=False)
        order_BL, _, importance_BL = arrangement
        weights_BhL = mixer.attention_weights(
            block.norm1(before_BLC), grid, window_sequence(mixer, order_BL), query
        )
        windows_BL = None
        if inverse_BL is not None:
            x_BLC = permute(x_BLC, inverse_BL)
            if mixer.window_tokens is not None:
                windows_BL = inverse_BL // mixer.window_tokens
        traces.append(
            BlockTrace(
                mixer=next(name for name, one in MIXERS.items() if one is type(mixer)),
                query=divmod(query, grid[1]),
                weights_BhHW=weights_BhL.unflatten(2, grid),
                windows_BHW=None if windows_BL is None else windows_BL.unflatten(1, grid),
                importance_BHW=None if importance_BL is None else importance_BL.unflatten(1, grid),
                features_BCHW=to_image(x_BLC, grid),
            )
        )
    return traces
