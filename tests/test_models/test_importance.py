"""Importance maps."""

import pytest
import torch

from mmrsir.models.importance import IMPORTANCE_MAPS
from mmrsir.models.order import invert, random_order


@pytest.mark.parametrize('name', IMPORTANCE_MAPS)
def test_half_precision_is_rated_in_float32(name):
    """In bfloat16 many tokens would tie."""
    torch.manual_seed(0)
    importance = IMPORTANCE_MAPS[name]()
    x = torch.randn(1, 400, 8).bfloat16()
    with torch.autocast('cpu', dtype=torch.bfloat16):
        rated = importance(x, None, (20, 20))
    assert rated.dtype == torch.float32
    torch.testing.assert_close(rated, importance(x.float(), None, (20, 20)), rtol=0, atol=1e-6)
    assert len(rated.unique()) > 390


@pytest.mark.parametrize('name', IMPORTANCE_MAPS)
def test_the_map_is_in_raster_order_whatever_the_order_of_the_tokens(name):
    importance = IMPORTANCE_MAPS[name]().double()
    x = torch.randn(2, 30, 8, dtype=torch.float64)
    order = random_order(2, 30, x.device)
    permuted = torch.stack([x[b, order[b]] for b in range(2)])
    expected = importance(x, None, (5, 6))
    assert expected.shape == (2, 30)
    torch.testing.assert_close(importance(permuted, invert(order), (5, 6)), expected)


def test_mean_importance_has_no_gradient_and_cbam_trains_its_convolution():
    x = torch.randn(1, 30, 8, requires_grad=True)
    assert not IMPORTANCE_MAPS['mean']()(x, None, (5, 6)).requires_grad
    cbam = IMPORTANCE_MAPS['cbam']()
    cbam(x, None, (5, 6)).sum().backward()
    assert cbam.conv.weight.grad.abs().max() > 0
