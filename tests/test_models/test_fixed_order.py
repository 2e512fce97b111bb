"""Fixed orders, and the cache that holds them."""

from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from unittest import mock

import numpy as np
import pytest
import torch
from torch._subclasses import FakeTensorMode

from mmrsir.models import RSIRTransformer
from mmrsir.models import fixed_order as module
from mmrsir.models.fixed_order import OrderCache, fixed_order, scramble
from mmrsir.models.order import invert, permute

TOKENS = torch.zeros(1, 1, 1)
ARCH = dict(embed_dims=8, depths=(2, 1), num_heads=(1, 2))


@pytest.fixture(autouse=True)
def cache(monkeypatch):
    """An empty cache."""
    cache = OrderCache(2**20)
    monkeypatch.setattr(module, '_cache', cache)
    return cache


def order_of(seed, block, length):
    return fixed_order(seed, block, length, TOKENS)


def test_fixed_order_depends_on_seed_block_and_length_only(cache):
    torch.manual_seed(0)
    state = torch.get_rng_state()
    order = order_of(0, 3, 100).clone()
    assert torch.equal(order.sort()[0], torch.arange(100))
    cache.clear()
    torch.manual_seed(1)
    assert torch.equal(order, order_of(0, 3, 100))
    torch.manual_seed(0)
    assert torch.equal(torch.get_rng_state(), state)
    assert not torch.equal(order, order_of(1, 3, 100))
    assert not torch.equal(order, order_of(0, 4, 100))
    assert not torch.equal(order[:99], order_of(0, 3, 99))


def test_fixed_orders_of_seeds_and_blocks_are_uniform():
    drawn = Counter(
        tuple(order_of(seed, block, 4).tolist()) for seed in range(300) for block in range(16)
    )
    assert len(drawn) == 24
    assert all(abs(count - 200) < 5 * 200**0.5 for count in drawn.values())


def test_fixed_orders_do_not_keep_neighbours_together():
    orders = [order_of(seed, seed % 7, 3136) for seed in range(50)]
    # Of two tokens side by side in the order, 2 in 3136 are neighbours by chance.
    together = sum(int((order.diff().abs() == 1).sum()) for order in orders)
    assert abs(together - 50 * 2) < 5 * 100**0.5
    # Where tokens go does not depend on where they come from.
    places = torch.stack([invert(order.unsqueeze(0))[0] for order in orders]).double()
    correlation = torch.corrcoef(torch.stack([torch.arange(3136.0).double(), places.mean(0)]))
    assert abs(correlation[0, 1]) < 5 / 3136**0.5


def test_fixed_orders_never_change():
    """Results of published weights depend on them."""
    assert order_of(0, 3, 10).tolist() == [4, 2, 1, 9, 0, 7, 5, 3, 8, 6]
    assert order_of(2**40, 0, 7).tolist() == [6, 2, 0, 1, 3, 4, 5]


@pytest.mark.parametrize(('seed', 'block', 'length'), [(0, 3, 20_000), (2**40, 0, 8193), (7, 1, 1)])
def test_numpy_sorts_as_the_operators_of_a_graph_do(seed, block, length):
    """Of a length that is made in several parts, too."""
    computed = scramble(torch.arange(length), seed, block, length).argsort()
    assert torch.equal(order_of(seed, block, length), computed)


def test_an_order_is_made_once():
    with mock.patch.object(module, '_make_order', wraps=module._make_order) as make:
        first = order_of(0, 3, 100)
        assert order_of(0, 3, 100) is first
    assert make.call_count == 1


def test_fixed_order_made_in_inference_mode_serves_training():
    with torch.inference_mode():
        order = order_of(0, 0, 10)
    x = torch.randn(1, 10, 2, requires_grad=True)
    permute(x, order.expand(1, -1)).sum().backward()
    assert torch.equal(x.grad, torch.ones(1, 10, 2))


def test_the_cache_is_bounded_by_bytes_and_forgets_what_was_used_longest_ago(cache):
    cache.max_bytes = 8 * 100 * 3
    first, second, third = (order_of(0, block, 100) for block in range(3))
    assert order_of(0, 0, 100) is first  # so the second was used longest ago
    order_of(0, 3, 100)
    assert cache.num_bytes == cache.max_bytes
    assert order_of(0, 0, 100) is first
    assert order_of(0, 2, 100) is third
    assert order_of(0, 1, 100) is not second
    assert torch.equal(order_of(0, 1, 100), second)
    assert order_of(0, 0, 1000).shape == (1000,)  # more than the cache may hold
    assert cache.num_bytes <= cache.max_bytes


def test_many_small_orders_stay_in_the_cache(cache):
    """The bound is on bytes, not on their number: a data set has many image sizes."""
    orders = [order_of(0, 0, length) for length in range(1, 300)]
    assert all(order_of(0, 0, length) is order for length, order in enumerate(orders, 1))
    assert cache.num_bytes == sum(order.nbytes for order in orders)


def test_threads_get_whole_orders(cache):
    cache.max_bytes = 8 * 500
    lengths = [100 + number % 7 for number in range(200)]
    with ThreadPoolExecutor(8) as pool:
        orders = list(pool.map(lambda length: order_of(0, 0, length), lengths))
    for length, order in zip(lengths, orders, strict=True):
        assert torch.equal(order.sort()[0], torch.arange(length))
    assert cache.num_bytes == sum(order.nbytes for order in cache._orders.values())


def build():
    torch.manual_seed(0)
    return RSIRTransformer(ARCH, out_indices=(0, 1)).eval()


def test_a_fake_forward_pass_leaves_no_fake_order_behind(cache):
    model, image = build(), torch.randn(1, 3, 61, 50)
    with torch.no_grad():
        expected = model(image)
        cache.clear()
        with FakeTensorMode() as mode, mock.patch.object(mode, 'allow_non_fake_inputs', new=True):
            levels = model(mode.from_tensor(image))
            assert [level.shape for level in levels] == [level.shape for level in expected]
        assert not cache._orders
        assert all(map(torch.equal, model(image), expected))
        with FakeTensorMode() as mode, mock.patch.object(mode, 'allow_non_fake_inputs', new=True):
            model(mode.from_tensor(image))  # with real orders in the cache


def test_a_functionalized_forward_pass_leaves_no_wrapped_order_behind(cache):
    model, image = build(), torch.randn(1, 3, 61, 50)
    expected = model(image)
    cache.clear()
    for actual, level in zip(torch.func.functionalize(model)(image), expected, strict=True):
        torch.testing.assert_close(actual, level)
    assert all(map(torch.equal, model(image), expected))
    with mock.patch.object(module.torch._C._functorch, 'is_functorch_wrapped_tensor', lambda _: 1):
        cache.clear()
        model(image)
    assert not cache._orders


def test_a_meta_model_has_meta_orders():
    assert fixed_order(0, 0, 10, TOKENS.to('meta')).device.type == 'meta'
    assert order_of(0, 0, 10).device.type == 'cpu'


def test_an_order_is_an_array_of_int64():
    order = module._make_order(0, 0, 10)
    assert order.dtype == np.int64 and order.flags.owndata


def graphs_of(model, image, dynamic):
    """Graphs that dynamo makes of a model."""
    torch.compiler.reset()
    graphs = []

    def keep(graph, _):
        graphs.append(graph)
        return graph

    compiled = torch.compile(model, backend=keep, dynamic=dynamic, fullgraph=True)
    with torch.no_grad():
        outputs, expected = compiled(image), model(image)
    for level, other in zip(outputs, expected, strict=True):
        torch.testing.assert_close(level, other, rtol=1e-4, atol=1e-4)
    return graphs


def test_a_graph_for_one_size_holds_its_orders_as_constants(cache):
    """So nothing is made while a CUDA graph is recorded (``mode='reduce-overhead'``)."""
    (graph,) = graphs_of(build(), torch.randn(1, 3, 61, 50), dynamic=False)
    constants = [getattr(graph, node.target) for node in graph.graph.nodes if node.op == 'get_attr']
    assert [len(order) for order in constants] == [16 * 13, 8 * 7]
    assert all(
        order is cached for order, cached in zip(constants, cache._orders.values(), strict=True)
    )
    kept = [order.clone() for order in constants]
    cache.clear()  # the graph keeps them
    assert all(map(torch.equal, constants, kept))


def test_a_graph_for_all_sizes_computes_its_orders_with_operators_of_torch(cache):
    (graph,) = graphs_of(build(), torch.randn(1, 3, 61, 50), dynamic=True)
    cache.clear()
    assert not [node for node in graph.graph.nodes if node.op == 'get_attr']
    assert 'mmrsir' not in ' '.join(str(node.target) for node in graph.graph.nodes)


def test_nothing_comes_from_the_cache_while_a_cuda_graph_is_captured(cache, monkeypatch):
    """A captured graph reads the same memory for ever, which the cache may free."""
    order = order_of(0, 3, 100)
    monkeypatch.setattr(torch.cuda, 'is_current_stream_capturing', lambda: True)
    assert not module._is_known(100, torch.device('cuda'))
    assert module._is_known(100, torch.device('cpu'))
    monkeypatch.setattr(module, '_is_known', lambda *_: False)
    assert torch.equal(order_of(0, 3, 100), order)
    assert order_of(0, 3, 100) is not order


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason='needs a GPU')
@pytest.mark.parametrize('dynamic', [False, True])
def test_reduce_overhead_replays_right_orders(cache, dynamic):
    torch.compiler.reset()
    model = build().cuda()
    compiled = torch.compile(model, mode='reduce-overhead', dynamic=dynamic)
    images = [torch.randn(1, 3, *size, device='cuda') for size in [(61, 50), (96, 128), (61, 50)]]
    with torch.no_grad():
        for _ in range(3):
            for image in images:
                levels = [level.clone() for level in compiled(image)]
                cache.clear()
                torch.cuda.empty_cache()
                torch.full((2**20,), -1, device='cuda')  # over what was freed
                for level, expected in zip(levels, model(image), strict=True):
                    torch.testing.assert_close(level, expected, rtol=1e-3, atol=1e-3)


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason='needs a GPU')
def test_a_cuda_graph_captured_by_hand_outlives_the_cache(cache):
    model, image = build().cuda(), torch.randn(1, 3, 61, 50, device='cuda')
    with torch.no_grad():
        expected = [level.clone() for level in model(image)]
        torch.cuda.synchronize()
        graph = torch.cuda.CUDAGraph()
        with torch.cuda.graph(graph):
            levels = model(image)
        cache.clear()
        torch.cuda.empty_cache()
        torch.full((2**20,), -1, device='cuda')
        graph.replay()
    for level, other in zip(levels, expected, strict=True):
        torch.testing.assert_close(level, other, rtol=1e-4, atol=1e-4)
