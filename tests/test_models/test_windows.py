"""Attention inside windows of a sequence."""

from concurrent.futures import ThreadPoolExecutor

import pytest
import torch
from torch.nn.attention import SDPBackend, sdpa_kernel

from mmrsir.models.order import fill_windows
from mmrsir.models.windows import (
    WindowAttention,
    attend_by_products,
    fused_attention,
    without_cudnn,
)

from ..helpers.literal import window_attention


def attend(attn, x):
    """Attention over all tokens of a sequence, without what is repeated to fill windows."""
    order = torch.arange(x.shape[1]).unsqueeze(0)
    return attn(x[:, fill_windows(order, 4)[0]])[:, : x.shape[1]]


@pytest.mark.parametrize('num_tokens', [1, 3, 4, 5, 8, 11])
@pytest.mark.parametrize('batch_size', [1, 3])
def test_attention_equals_the_explicit_one(num_tokens, batch_size):
    attn = WindowAttention(8, num_heads=2, window_tokens=4).double()
    x = torch.randn(batch_size, num_tokens, 8, dtype=torch.float64)
    torch.testing.assert_close(attend(attn, x), window_attention(x, attn), rtol=0, atol=1e-12)


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


def test_threads_leave_the_kernels_of_fused_attention_as_they_were():
    """The switch is one for all threads, which come and go in any order."""
    inside = without_cudnn
    before = torch.backends.cuda.cudnn_sdp_enabled()
    inside.__enter__()
    inside.__enter__()  # of a second thread
    assert not torch.backends.cuda.cudnn_sdp_enabled()
    inside.__exit__()  # of the first
    assert not torch.backends.cuda.cudnn_sdp_enabled()
    inside.__exit__()
    assert torch.backends.cuda.cudnn_sdp_enabled() == before


def test_many_threads_leave_the_kernels_of_fused_attention_as_they_were():
    def enter(_):
        with without_cudnn:
            return torch.backends.cuda.cudnn_sdp_enabled()

    with ThreadPoolExecutor(8) as pool:
        assert not any(pool.map(enter, range(500)))
    assert torch.backends.cuda.cudnn_sdp_enabled()


def test_what_a_user_has_chosen_of_fused_attention_stays():
    with sdpa_kernel(SDPBackend.MATH), without_cudnn:
        assert not torch.backends.cuda.flash_sdp_enabled()
        assert not torch.backends.cuda.mem_efficient_sdp_enabled()
    assert torch.backends.cuda.flash_sdp_enabled()


@pytest.mark.parametrize('mask_type', [None, torch.bool, torch.float64])
def test_attention_by_products_equals_the_fused_one(mask_type):
    q, k, v = torch.randn(3, 2, 4, 5, 8, dtype=torch.float64)
    mask = None if mask_type is None else torch.randn(1, 4, 5, 5).to(mask_type)
    if mask_type == torch.bool:
        mask = torch.rand(1, 4, 5, 5) < 0.7
        mask |= torch.eye(5, dtype=torch.bool)
    actual = attend_by_products(q, k, v, mask)
    torch.testing.assert_close(actual, fused_attention(q, k, v, mask), rtol=0, atol=1e-12)
