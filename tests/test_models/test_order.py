"""Token orders."""

from collections import Counter

import pytest
import torch

from mmrsir.models.order import (
    compose,
    fill_windows,
    importance_order,
    invert,
    permute,
    random_order,
)

CPU = torch.device('cpu')


def test_random_order_is_a_permutation_of_its_own_for_each_sample():
    order = random_order(3, 100, CPU)
    assert order.dtype == torch.int64
    assert torch.equal(order.sort(dim=1)[0], torch.arange(100).expand(3, -1))
    assert not torch.equal(order[0], order[1])


def test_random_order_is_uniform():
    torch.manual_seed(0)
    drawn = Counter(map(tuple, random_order(24 * 200, 4, CPU).tolist()))
    assert len(drawn) == 24
    assert all(abs(count - 200) < 5 * 200**0.5 for count in drawn.values())


def test_a_graph_of_random_orders_serves_all_batch_sizes():
    """One sort of all samples, and no loop over them."""
    compiled = torch.compile(random_order, backend='eager', dynamic=True, fullgraph=True)
    with torch._dynamo.config.patch(recompile_limit=1, fail_on_recompile_limit_hit=True):
        for batch_size in (2, 3, 5):
            torch.manual_seed(0)
            order = compiled(batch_size, 100, CPU)
            torch.manual_seed(0)
            assert torch.equal(order, random_order(batch_size, 100, CPU))


def test_random_order_repeats_from_the_global_seed():
    torch.manual_seed(7)
    first = random_order(2, 50, CPU)
    torch.manual_seed(7)
    assert torch.equal(first, random_order(2, 50, CPU))
    assert not torch.equal(first, random_order(2, 50, CPU))


def test_importance_order_is_descending():
    assert importance_order(torch.tensor([[0.1, 3.0, -2.0, 0.5]])).tolist() == [[1, 3, 0, 2]]


def test_ties_keep_raster_order():
    importance = torch.zeros(1, 1000)
    importance[0, 500] = 1
    expected = [500, *range(500), *range(501, 1000)]
    assert importance_order(importance)[0].tolist() == expected


def test_nan_sorts_last():
    nan, inf = float('nan'), float('inf')
    importance = torch.tensor([[nan, 1.0, -inf, nan, inf]])
    assert importance_order(importance).tolist() == [[4, 1, 2, 0, 3]]


def test_inverse_restores_and_composition_leads_over():
    x = torch.randn(3, 60, 5)
    order, target = random_order(3, 60, CPU), random_order(3, 60, CPU)
    assert torch.equal(permute(permute(x, order), invert(order)), x)
    moved = permute(permute(x, order), compose(invert(order), target))
    assert torch.equal(moved, permute(x, target))


def test_permute_takes_the_token_that_the_order_names():
    x = torch.randn(2, 10, 3)
    order = random_order(2, 10, CPU)
    out = permute(x, order)
    for b in range(2):
        for place in range(10):
            assert torch.equal(out[b, place], x[b, order[b, place]])


@pytest.mark.parametrize(('num_tokens', 'repeated'), [(8, []), (9, [5, 6, 7]), (11, [7]), (3, [])])
def test_last_window_is_filled_up_with_the_tokens_before_it(num_tokens, repeated):
    order = torch.arange(num_tokens).expand(2, -1)
    expected = [*range(num_tokens), *repeated]
    assert fill_windows(order, 4).tolist() == [expected, expected]


@pytest.mark.parametrize('batch_size', [1, 2])
@pytest.mark.parametrize('num_tokens', [3, 6, 8])
@pytest.mark.parametrize('direction', ['into windows', 'between windows', 'back'])
def test_gradient_of_permute_is_right_to_second_order(batch_size, num_tokens, direction):
    """Of sequences with repeated tokens too."""
    order, target = (random_order(batch_size, num_tokens, CPU) for _ in range(2))
    places = {
        'into windows': fill_windows(order, 4),
        'between windows': compose(invert(order), fill_windows(target, 4)),
        'back': invert(order),
    }[direction]
    x = torch.randn(batch_size, num_tokens, 2, dtype=torch.float64, requires_grad=True)

    def cube(x):
        return permute(x, places) ** 3

    assert torch.equal(permute(x, places), permute(x.detach(), places))
    assert torch.autograd.gradcheck(cube, x)
    assert torch.autograd.gradgradcheck(cube, x)
