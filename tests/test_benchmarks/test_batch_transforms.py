"""Transforms of whole batches do to each image what mmpretrain's do to one."""

import numpy as np
import pytest
import torch
from ablation import batch_transforms
from ablation.batch_transforms import (
    batch_transform,
    crop,
    erase,
    flip,
    resized_crop,
    trivial_augment,
)
from mmengine.registry import DefaultScope
from mmpretrain.registry import TRANSFORMS

from mmrsir.engine.hooks.progressive_resizing import resize

SIDE = 16


@pytest.fixture
def images():
    """200 copies of an image whose every pixel is different."""
    pixels = torch.arange(3 * SIDE * SIDE).reshape(1, 3, SIDE, SIDE) % 251 + 1
    return pixels.to(torch.uint8).expand(200, -1, -1, -1)


def test_crops_are_parts_of_the_padded_image(images):
    padded = torch.nn.functional.pad(images[0], (2, 2, 2, 2))
    windows = padded.unfold(1, SIDE, 1).unfold(2, SIDE, 1).permute(1, 2, 0, 3, 4).flatten(0, 1)
    found = {
        next(i for i, window in enumerate(windows) if torch.equal(window, one))
        for one in crop(images, SIDE, padding=2)
    }
    assert len(windows) == 25 and found == set(range(25))


def test_a_share_of_the_images_is_mirrored(images):
    flipped = flip(images, 0.3)
    mirrored = (flipped == images.flip(3)).flatten(1).all(1)
    assert torch.equal(flipped[~mirrored], images[~mirrored])
    assert 30 < mirrored.sum() < 90


def test_resized_crops_show_what_they_cut(images):
    """A crop of a plane of coordinates tells where it was cut."""
    x = torch.linspace(-1, 1, 65).diff() / 2 + torch.linspace(-1, 1, 65)[:-1]  # centres of pixels
    plane = torch.stack([x.expand(64, 64), x.unsqueeze(1).expand(64, 64), torch.ones(64, 64)])
    cut = resized_crop(plane.expand(500, -1, -1, -1), 32, (0.3, 0.6))
    width = (cut[:, 0, 16, -1] - cut[:, 0, 16, 0]) * 32 / 31 / 2
    height = (cut[:, 1, -1, 16] - cut[:, 1, 0, 16]) * 32 / 31 / 2
    assert (width * height).min() > 0.29 and (width * height).max() < 0.61
    assert (width / height).min() > 0.74 and (width / height).max() < 1.35
    assert cut[:, :2].min() < -0.9 and cut[:, :2].max() > 0.9 and cut[:, :2].abs().max() <= 1


def test_the_whole_image_is_a_crop_of_itself(images):
    whole = resized_crop(images[:2], SIDE, (1.0, 1.0), (1.0, 1.0))
    torch.testing.assert_close(whole, images[:2].float(), atol=1e-3, rtol=0)


def test_a_rectangle_is_erased(images):
    erased = erase(images, 0.5, 0.1, 0.2, fill_color=(0, 0, 0)) == 0
    shares = erased[:, 0].float().mean((1, 2))
    touched = shares > 0
    assert 60 < touched.sum() < 140
    assert shares[touched].min() > 0.05 and shares.max() < 0.3
    for mask in erased[touched][:, 0]:
        rows, columns = mask.any(1), mask.any(0)
        assert mask.sum() == rows.sum() * columns.sum()


def test_erasing_with_noise_draws_each_pixel(images):
    filled = erase(images, 1.0, 0.3, 0.3, (1.0, 1.0), 'rand', (100, 100, 100), (10, 10, 10))
    noise = filled[filled != images]
    assert 95 < noise.mean() < 105 and 8 < noise.std() < 12


def test_fine_stripes_become_grey_when_images_shrink(images):
    stripes = torch.tensor([0.0, 200.0]).repeat(SIDE // 2).expand(1, 3, SIDE, SIDE)
    small = resize(stripes, SIDE // 4)
    assert small.shape == (1, 3, SIDE // 4, SIDE // 4)
    torch.testing.assert_close(small, torch.full_like(small, 100), atol=10, rtol=0)
    assert torch.equal(resize(images[:1], SIDE), images[:1].float())


def test_images_stay_in_their_places_under_trivial_augment():
    torch.manual_seed(0)
    grey = torch.arange(0, 250, 5, dtype=torch.uint8).reshape(-1, 1, 1, 1).expand(-1, 3, 8, 8)
    changed = trivial_augment(grey)
    assert changed.dtype == torch.uint8
    unchanged = (changed == grey).flatten(1).all(1)
    assert 0 < unchanged.sum() < len(grey)


@pytest.mark.parametrize(
    'settings',
    [
        dict(type='RandomCrop', crop_size=12, padding=2),
        dict(type='RandomResizedCrop', scale=12, interpolation='bilinear'),
        dict(type='RandomFlip', prob=0.5, direction='horizontal'),
        dict(type='RandomErasing', mode='rand', fill_color=[1, 2, 3], fill_std=[1, 1, 1]),
        dict(type='torchvision/TrivialAugmentWide'),
    ],
    ids=lambda settings: settings['type'],
)
def test_the_same_settings_make_both_forms(images, settings):
    many = batch_transform(settings)(images[:4])
    pixels = np.ascontiguousarray(images[0].permute(1, 2, 0).numpy())
    if settings['type'].startswith('torchvision/'):
        assert many.shape == (4, 3, SIDE, SIDE)
    else:
        with DefaultScope.overwrite_default_scope('mmpretrain'):
            transform = TRANSFORMS.build(settings)
        one = transform(dict(img=pixels, img_shape=(SIDE, SIDE)))['img']
        assert many.shape[2:] == one.shape[:2]


@pytest.mark.parametrize(
    ('settings', 'message'),
    [
        (dict(type='RandomFlop'), 'RandomFlop cannot transform whole batches; allowed: RandomCrop'),
        (dict(type='RandomFlip', prob=0.5, direction='vertical'), 'RandomFlip.direction must be'),
        (dict(type='RandomCrop', crop_size=8, pads=3), "RandomCrop: .*'pads'"),
    ],
)
def test_what_has_no_batch_form_is_refused(settings, message):
    with pytest.raises(ValueError, match=message):
        batch_transform(settings)


def test_a_large_batch_takes_a_limited_number_of_draws(images, monkeypatch):
    sizes = []
    monkeypatch.setattr(
        batch_transforms.v2,
        'TrivialAugmentWide',
        lambda: lambda part: sizes.append(len(part)) or part,
    )
    many = images.repeat(3, 1, 1, 1)
    assert torch.equal(trivial_augment(many), many)
    assert len(sizes) <= batch_transforms.MAX_DRAWS and sum(sizes) == len(many)
