"""Token orders."""

from collections import Counter

import pytest
import torch

from mmrsir.models.order import (
    compiled_fixed_order,
    compose,
    fill_windows,
    fixed_order,
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


def test_random_order_repeats_from_the_global_seed():
    torch.manual_seed(7)
    first = random_order(2, 50, CPU)
    torch.manual_seed(7)
    assert torch.equal(first, random_order(2, 50, CPU))
    assert not torch.equal(first, random_order(2, 50, CPU))


def test_fixed_order_depends_on_seed_block_and_length_only():
    torch.manual_seed(0)
    state = torch.get_rng_state()
    order = fixed_order(0, 3, 100, CPU).clone()
    assert torch.equal(order.sort()[0], torch.arange(100))
    fixed_order.cache_clear()
    torch.manual_seed(1)
    assert torch.equal(order, fixed_order(0, 3, 100, CPU))
    torch.manual_seed(0)
    assert torch.equal(torch.get_rng_state(), state)
    assert not torch.equal(order, fixed_order(1, 3, 100, CPU))
    assert not torch.equal(order, fixed_order(0, 4, 100, CPU))
    assert not torch.equal(order[:99], fixed_order(0, 3, 99, CPU))


def test_fixed_orders_of_seeds_and_blocks_are_uniform():
    drawn = Counter(
        tuple(fixed_order(seed, block, 4, CPU).tolist())
        for seed in range(300)
        for block in range(16)
    )
    assert len(drawn) == 24
    assert all(abs(count - 200) < 5 * 200**0.5 for count in drawn.values())


def test_fixed_orders_do_not_keep_neighbours_together():
    orders = [fixed_order(seed, seed % 7, 3136, CPU) for seed in range(50)]
    # Of two tokens side by side in the order, 2 in 3136 are neighbours by chance.
    together = sum(int((order.diff().abs() == 1).sum()) for order in orders)
    assert abs(together - 50 * 2) < 5 * 100**0.5
    # Where tokens go does not depend on where they come from.
    places = torch.stack([invert(order.unsqueeze(0))[0] for order in orders]).double()
    correlation = torch.corrcoef(torch.stack([torch.arange(3136.0).double(), places.mean(0)]))
    assert abs(correlation[0, 1]) < 5 / 3136**0.5


def test_fixed_orders_never_change():
    """Results of published weights depend on them."""
    assert fixed_order(0, 3, 10, CPU).tolist() == [4, 2, 1, 9, 0, 7, 5, 3, 8, 6]
    assert fixed_order(2**40, 0, 7, CPU).tolist() == [6, 2, 0, 1, 3, 4, 5]


def test_fixed_order_made_in_inference_mode_serves_training():
    fixed_order.cache_clear()
    with torch.inference_mode():
        order = fixed_order(0, 0, 10, CPU)
    x = torch.randn(1, 10, 2, requires_grad=True)
    permute(x, order.expand(1, -1)).sum().backward()
    assert torch.equal(x.grad, torch.ones(1, 10, 2))


def test_cache_of_fixed_orders_is_bounded():
    for length in range(1, 200):
        fixed_order(0, 0, length, CPU)
    assert fixed_order.cache_info().currsize <= 128


def test_fixed_order_for_the_compiler_is_the_same_and_a_copy():
    torch.library.opcheck(compiled_fixed_order, (0, 3, 100, CPU))
    order = compiled_fixed_order(0, 3, 100, CPU)
    assert torch.equal(order, fixed_order(0, 3, 100, CPU))
    order.zero_()
    assert fixed_order(0, 3, 100, CPU).any()


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
