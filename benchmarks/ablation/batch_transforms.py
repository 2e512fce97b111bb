"""Random transforms of whole batches, on the device where the images lie.

:func:`batch_transform` makes one from the settings of a transform of mmpretrain. Each image
draws its own numbers from the global generator of its device.

Shape suffixes: N images, H W pixels.
"""

import math
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional as F
from torchvision.transforms import v2

from mmrsir.utils.errors import InvalidValueError

BatchTransform = Callable[[Tensor], Tensor]
GROUP = 8  # images that share what TrivialAugment draws, in small batches
MAX_DRAWS = 32  # of TrivialAugment for a batch; each takes some twenty calls of the GPU


def crop(images: Tensor, crop_size: int, padding: int = 0) -> Tensor:
    """Pad images with zeros and cut a square at a random place (mmpretrain's ``RandomCrop``)."""
    padded = F.pad(images, (padding,) * 4)
    number, device = len(images), images.device
    rows_NH, columns_NW = (
        torch.randint(size - crop_size + 1, (number, 1), device=device)
        + torch.arange(crop_size, device=device)
        for size in padded.shape[-2:]
    )
    samples = torch.arange(number, device=device).reshape(-1, 1, 1)
    cut = padded.permute(0, 2, 3, 1)[samples, rows_NH.unsqueeze(2), columns_NW.unsqueeze(1)]
    return cut.permute(0, 3, 1, 2)


def resized_crop(
    images: Tensor,
    scale: int,
    crop_ratio_range: tuple[float, float] = (0.08, 1.0),
    aspect_ratio_range: tuple[float, float] = (3 / 4, 4 / 3),
) -> Tensor:
    """Cut a random part and enlarge it (mmpretrain's ``RandomResizedCrop``), bilinearly."""
    number, device = len(images), images.device

    def between(low: float, high: float) -> Tensor:
        return torch.rand(number, device=device) * (high - low) + low

    height, width = images.shape[-2:]
    area_N = between(*crop_ratio_range) * height * width
    low, high = aspect_ratio_range
    aspect_N = between(math.log(low), math.log(high)).exp()
    # Shares of the sides; where the part would be larger than the image, it is cut off.
    width_N = ((area_N * aspect_N).sqrt() / width).clamp(max=1)
    height_N = ((area_N / aspect_N).sqrt() / height).clamp(max=1)
    maps_N23 = torch.zeros(number, 2, 3, device=device)
    maps_N23[:, 0, 0], maps_N23[:, 1, 1] = width_N, height_N
    maps_N23[:, 0, 2] = between(-1, 1) * (1 - width_N)
    maps_N23[:, 1, 2] = between(-1, 1) * (1 - height_N)
    places = F.affine_grid(maps_N23, [number, 3, scale, scale], align_corners=False)
    return F.grid_sample(images.float(), places, padding_mode='border', align_corners=False)


def flip(images: Tensor, prob: float) -> Tensor:
    """Mirror images left to right, each with a probability (mmpretrain's ``RandomFlip``)."""
    mirrored_N111 = torch.rand(len(images), 1, 1, 1, device=images.device) < prob
    return torch.where(mirrored_N111, images.flip(3), images)


def erase(
    images: Tensor,
    erase_prob: float = 0.5,
    min_area_ratio: float = 0.02,
    max_area_ratio: float = 0.4,
    aspect_range: tuple[float, float] = (3 / 10, 10 / 3),
    mode: str = 'const',
    fill_color: Sequence[float] = (128, 128, 128),
    fill_std: Sequence[float] = (0, 0, 0),
) -> Tensor:
    """Fill a random rectangle with a colour or with noise (mmpretrain's ``RandomErasing``)."""
    number, device = len(images), images.device
    height, width = images.shape[-2:]

    def draw() -> Tensor:
        return torch.rand(number, 1, device=device)

    area_N1 = (draw() * (max_area_ratio - min_area_ratio) + min_area_ratio) * height * width
    low, high = (math.log(bound) for bound in aspect_range)
    aspect_N1 = (draw() * (high - low) + low).exp()
    inside = []
    for side, part_N1 in (
        (height, (area_N1 * aspect_N1).sqrt()),
        (width, (area_N1 / aspect_N1).sqrt()),
    ):
        start_N1 = draw() * (side - part_N1).clamp(min=0)
        places_S = torch.arange(side, device=device)
        inside.append((places_S >= start_N1) & (places_S < start_N1 + part_N1))
    erased_NHW = inside[0].unsqueeze(2) & inside[1].unsqueeze(1)
    erased_NHW &= (draw() < erase_prob).unsqueeze(2)
    fill = torch.tensor(fill_color, dtype=torch.float32, device=device).reshape(3, 1, 1)
    if mode == 'rand':
        std = torch.tensor(fill_std, dtype=torch.float32, device=device).reshape(3, 1, 1)
        fill = (fill + std * torch.randn(images.shape, device=device)).clamp(0, 255)
    return torch.where(erased_NHW.unsqueeze(1), fill, images.float())


def trivial_augment(images: Tensor) -> Tensor:
    """Apply torchvision's ``TrivialAugmentWide``; a few images share a draw."""
    policy = v2.TrivialAugmentWide()
    mixed = torch.randperm(len(images), device=images.device)
    size = max(GROUP, math.ceil(len(images) / MAX_DRAWS))
    parts = images.round().to(torch.uint8)[mixed].split(size)
    return torch.cat([policy(part) for part in parts])[mixed.argsort()]


def batch_transform(settings: Mapping[str, Any]) -> BatchTransform:
    """Make the batch form of a random transform of a config."""
    rest = dict(settings)
    kind = rest.pop('type')
    if kind not in BATCH_FORMS:
        raise InvalidValueError(
            f'{kind} cannot transform whole batches; allowed: {", ".join(BATCH_FORMS)}. '
            'Train this config with tools/train.py.'
        )
    function, ignored = BATCH_FORMS[kind]
    for key, allowed in ignored.items():
        if key in rest and rest.pop(key) not in allowed:
            raise InvalidValueError(f'{kind}.{key} must be one of {allowed} for whole batches')
    try:
        transform = partial(function, **rest)
        transform(torch.zeros(1, 3, 8, 8))
    except TypeError as error:
        raise InvalidValueError(f'{kind}: {error}; train this config with tools/train.py') from None
    except RuntimeError:
        pass  # the crop is larger than these few pixels
    return transform


# The function, and the values of settings that it does not take for which it is right.
BATCH_FORMS: dict[str, tuple[Callable[..., Tensor], dict[str, tuple[Any, ...]]]] = {
    'RandomCrop': (crop, dict(padding_mode=('constant',), pad_val=(0,))),
    'RandomResizedCrop': (
        resized_crop,
        dict(interpolation=('bilinear',), backend=('cv2', 'pillow')),
    ),
    'RandomFlip': (flip, dict(direction=('horizontal',))),
    'RandomErasing': (erase, {}),
    'torchvision/TrivialAugmentWide': (trivial_augment, {}),
}
