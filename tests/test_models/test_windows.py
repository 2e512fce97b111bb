"""Attention inside windows of a sequence."""

import pytest
import torch

from mmrsir.models.order import fill_windows
from mmrsir.models.windows import WindowAttention

from .literal import window_attention


def attend(attn, x):
    """Attention over all tokens of a sequence, without what is repeated to fill windows."""
    order = torch.arange(x.shape[1]).unsqueeze(0)
    return attn(x[:, fill_windows(order, 4)[0]])[:, : x.shape[1]]


@pytest.mark.parametrize('num_tokens', [1, 3, 4, 5, 8, 11])
@pytest.mark.parametrize('batch_size', [1, 3])
@pytest.mark.parametrize('with_gradient', [False, True])  # without, attention is two products
def test_attention_equals_the_explicit_one(num_tokens, batch_size, with_gradient):
    attn = WindowAttention(8, num_heads=2, window_tokens=4).double()
    x = torch.randn(batch_size, num_tokens, 8, dtype=torch.float64)
    with torch.set_grad_enabled(with_gradient):
        actual = attend(attn, x)
    torch.testing.assert_close(actual, window_attention(x, attn), rtol=0, atol=1e-12)


@pytest.mark.parametrize('num_tokens', [3, 8, 10])
def test_each_query_sees_its_window_and_nothing_else(num_tokens):
    attn = WindowAttention(4, num_heads=1, window_tokens=4).double()
    x = torch.randn(1, num_tokens, 4, dtype=torch.float64)
    # (1, L, C, 1, L, C)
    jacobian = torch.autograd.functional.jacobian(lambda x: attend(attn, x), x)
    sees = jacobian.abs().amax(dim=(0, 2, 3, 5)) > 0
    for query in range(num_tokens):
        stop = min(query - query % 4 + 4, num_tokens)
        keys = set(range(max(0, stop - 4), stop))
        assert set(sees[query].nonzero().flatten().tolist()) == keys
