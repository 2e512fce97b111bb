"""Pictures of two discs: have they the same colour?

The discs lie anywhere, so the answer takes two places that are mostly far apart.

Shape suffixes: N pictures, S side in pixels.
"""

import colorsys

import torch
from torch import Tensor
from torch.nn import functional as F

COLOURS = 8
RADIUS = 0.13  # of a disc, in sides of the picture
GAP = 2.6  # between the centres of the discs at least, in radii
FINER = 2  # discs are drawn on a finer grid
CHUNK = 1000  # pictures drawn at once


def draw_pairs(number: int, side: int, generator: torch.Generator) -> tuple[Tensor, Tensor]:
    """Draw pictures, uint8, (N, 3, S, S); 1 where the colours are the same, else 0, int64, (N,)."""
    centres_N22 = _centres(number, generator)
    same_N = torch.randint(2, (number,), generator=generator)
    first_N = torch.randint(COLOURS, (number,), generator=generator)
    step_N = torch.randint(1, COLOURS, (number,), generator=generator)
    colours_N2 = torch.stack([first_N, (first_N + (1 - same_N) * step_N) % COLOURS], dim=1)
    chunks = zip(centres_N22.split(CHUNK), colours_N2.split(CHUNK), strict=True)
    return torch.cat([_draw(centres, colours, side) for centres, colours in chunks]), same_N


def _centres(number: int, generator: torch.Generator) -> Tensor:
    """Draw two places that keep apart, in the unit square, (N, 2, 2)."""
    centres_N22 = torch.empty(0, 2, 2)
    while len(centres_N22) < number:
        drawn_N22 = torch.rand(number, 2, 2, generator=generator) * (1 - 2 * RADIUS) + RADIUS
        apart_N = (drawn_N22[:, 0] - drawn_N22[:, 1]).norm(dim=1) > GAP * RADIUS
        centres_N22 = torch.cat([centres_N22, drawn_N22[apart_N]])
    return centres_N22[:number]


def _draw(centres_N22: Tensor, colours_N2: Tensor, side: int) -> Tensor:
    """Draw pictures, uint8, (N, 3, S, S)."""
    places_S = (torch.arange(side * FINER) + 0.5) / (side * FINER)
    x_N2SS = (places_S - centres_N22[..., :1]).unsqueeze(2)
    y_N2SS = (places_S - centres_N22[..., 1:]).unsqueeze(3)
    discs_N2SS = (x_N2SS**2 + y_N2SS**2 < RADIUS**2).float()
    palette = torch.tensor([colorsys.hsv_to_rgb(i / COLOURS, 1, 1) for i in range(COLOURS)])
    pictures = torch.einsum('nohw,noc->nchw', discs_N2SS, palette[colours_N2])
    return (F.avg_pool2d(pictures, FINER) * 255).round().to(torch.uint8)
