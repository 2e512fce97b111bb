"""Effective receptive fields."""

import numpy as np
import pytest
import torch
from PIL import Image

from mmrsir.models import PyramidTransformer, RSIRTransformer
from mmrsir.visualization.receptive_field import covered_area, draw_fields, receptive_fields

from ..helpers.commands import tool

ARCH = dict(embed_dims=8, depths=(2, 1), num_heads=(2, 2))


def build(**settings):
    torch.manual_seed(0)
    return PyramidTransformer(ARCH, window_size=2, out_indices=(0, 1), **settings).eval()


def test_windows_reach_what_their_mechanism_reaches():
    images = torch.randn(2, 3, 64, 64)
    settings = dict(position=None, downsampling='linear')
    swin, rsir = (
        list(receptive_fields(build(mixers=mixers, **settings), images))
        for mixers in (['shifted_window'], ['rs'])
    )
    assert [field.title for field in swin] == [
        'stage 1, block 1',
        'stage 1, block 2',
        'stage 2, block 1',
    ]
    # A window of 2 x 2 patches of 4 x 4 pixels around the middle, which is a patch at its corner.
    inside = np.zeros((64, 64), dtype=bool)
    inside[32:40, 32:40] = True
    assert np.array_equal(swin[0].gradient > 0, inside)
    assert (rsir[0].gradient > 0).sum() == inside.sum()
    assert rsir[0].gradient[~inside].any()  # patches from anywhere
    assert all(field.gradient.max() == 1 for field in [*swin, *rsir])


def test_covered_area_is_that_of_the_strongest_pixels():
    strength = torch.tensor([[0.0, 5.0], [4.0, 1.0]])
    assert covered_area(strength, 0.5) == 0.25
    assert covered_area(strength, 0.9) == 0.5
    assert covered_area(strength, 0.95) == 0.75
    assert covered_area(torch.ones(10), 1.0) == 1.0


def test_models_of_different_depth_stand_in_one_picture(tmp_path):
    images = torch.randn(1, 3, 32, 32)
    fields = {'two': list(receptive_fields(build(), images))}
    fields['one'] = fields['two'][:2]
    draw_fields(fields, tmp_path / 'fields.png')
    assert np.asarray(Image.open(tmp_path / 'fields.png'))[..., :3].std() > 10


def test_gradients_are_those_of_all_channels():
    images = torch.randn(1, 3, 32, 32, requires_grad=True)
    model = build()
    last = list(receptive_fields(model, images))[-1]
    trace = model.trace(images, (16, 16))[-1][-1]
    trace.features_BCHW[:, :, 2, 2].sum().backward()
    strength = images.grad.abs().sum(1)[0]
    np.testing.assert_allclose(last.gradient, (strength / strength.max()).numpy(), atol=1e-6)
    assert last.area == pytest.approx(covered_area(strength))


def test_two_runs_of_one_config_can_be_compared(tmp_path):
    weights = RSIRTransformer('nano', out_indices=(3,)).state_dict()
    Image.new('RGB', (32, 32)).save(tmp_path / 'photo.png')
    models = []
    for run in ('one', 'two'):
        (tmp_path / run).mkdir()
        torch.save(weights, tmp_path / run / 'epoch_1.pth')
        models.append(f'cls/rsir_n_shapes={run}/epoch_1.pth')
    said = tool('visualization/receptive_field.py', 'photo.png', *models, folder=tmp_path)
    assert 'cls_rsir_n_shapes, one_epoch_1' in said and 'cls_rsir_n_shapes, two_epoch_1' in said
