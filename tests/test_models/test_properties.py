"""What holds for any order, any model and any images: each property in many generated cases.

The cases are the same at each run. ``make test-slow`` takes many more of them.
"""

import random
from collections import Counter
from itertools import permutations
from math import ceil, factorial, isnan
from unittest import mock

import numpy as np
import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from mmrsir.models import ARCHS, PyramidTransformer, blocks
from mmrsir.models.fixed_order import _cache, fixed_order
from mmrsir.models.importance import IMPORTANCE_MAPS
from mmrsir.models.mixers import MIXERS
from mmrsir.models.order import (
    compose,
    fill_windows,
    importance_order,
    invert,
    permute,
    random_order,
)
from mmrsir.models.stage import Stage
from mmrsir.models.windows import WindowAttention

from ..helpers.literal import window_attention
from ..helpers.mixers import CHANNELS
from ..helpers.mixers import build as build_mixer

CPU = torch.device('cpu')
MANY = 20  # times as many cases for those who ask for the slow tests
EQUAL = {torch.float64: 1e-10, torch.float32: 1e-5}

SEEDS = st.integers(0, 2**40)
BATCH_SIZES = st.integers(1, 5)
SIZES = st.tuples(st.integers(1, 97), st.integers(1, 97))
LENGTHS = st.integers(1, 70)
WINDOW_TOKENS = st.integers(1, 20)
MIXER_NAMES = st.lists(st.sampled_from(list(MIXERS)), min_size=1, max_size=3)


def holds(cases, **strategies):
    """Make a test of a property, which is to hold in so many cases."""

    def decorate(check):
        @pytest.mark.parametrize('times', [1, pytest.param(MANY, marks=pytest.mark.slow)])
        def test(times):
            profile = settings(
                max_examples=cases * times,
                derandomize=True,
                deadline=None,
                suppress_health_check=[HealthCheck.too_slow],
            )
            profile(given(**strategies)(check))()

        return test

    return decorate


@st.composite
def archs(draw):
    """Nano, the others with a quarter of the channels and fewer blocks, and odd ones."""
    name = draw(st.sampled_from([*ARCHS, 'odd']))
    if name == 'nano':
        return ARCHS[name]
    if name != 'odd':
        arch = ARCHS[name]
        depths = [min(depth, 2) for depth in arch['depths']]
        return dict(arch, embed_dims=arch['embed_dims'] // 4, depths=depths)
    embed_dims = draw(st.sampled_from([4, 5, 6, 9, 12]))
    depths = draw(st.lists(st.integers(1, 3), min_size=1, max_size=4))
    widths = [embed_dims * 2**stage for stage in range(len(depths))]
    # More than one, which the stripes of a mixer need.
    heads = [[number for number in range(2, 10) if width % number == 0] for width in widths]
    return dict(
        embed_dims=embed_dims,
        depths=depths,
        num_heads=[draw(st.sampled_from(numbers)) for numbers in heads],
    )


@st.composite
def models(draw, **fixed):
    """Arguments of a PyramidTransformer."""
    arch = draw(archs())
    stages = len(arch['depths'])
    mixers = draw(st.one_of(st.just(['rs', 'ir']), MIXER_NAMES))
    # Right after a norm the mean of each token is 0, and IR-Win would sort rounding errors.
    positions = ['peg'] if mixers[0] == 'ir' else ['peg', None]
    sides = st.integers(1, 8)
    arguments = dict(
        arch=arch,
        mixers=mixers,
        downsampling=draw(st.sampled_from(['overlap', 'linear'])),
        window_size=draw(st.one_of(sides, st.lists(sides, min_size=stages, max_size=stages))),
        importance=draw(st.sampled_from(list(IMPORTANCE_MAPS))),
        position=draw(st.sampled_from(positions)),
        eval_sampling=draw(st.sampled_from(['fixed', 'random'])),
        seed=draw(SEEDS),
        out_indices=sorted(draw(st.sets(st.integers(0, stages - 1), min_size=1))),
    )
    return {**arguments, **fixed}


def build(arguments, dtype=torch.float32):
    torch.manual_seed(0)
    return PyramidTransformer(**arguments).to(dtype)


def random_images(seed, batch_size, size, dtype=torch.float32):
    generator = torch.Generator().manual_seed(seed)
    return torch.randn(batch_size, 3, *size, generator=generator).to(dtype)


def random_orders(seed, batch_size, length, number=1):
    torch.manual_seed(seed)
    return [random_order(batch_size, length, CPU) for _ in range(number)]


def global_random_states():
    return torch.get_rng_state().tolist(), random.getstate(), np.random.get_state()[1].tolist()


@holds(50, seed=SEEDS, batch_size=BATCH_SIZES, length=LENGTHS)
def test_a_random_order_has_each_token_once(seed, batch_size, length):
    (order,) = random_orders(seed, batch_size, length)
    assert torch.equal(order.sort(dim=1).values, torch.arange(length).expand(batch_size, -1))


@holds(20, seed=SEEDS, batch_size=BATCH_SIZES, length=st.integers(1, 4))
def test_all_permutations_are_drawn_equally_often(seed, batch_size, length):
    torch.manual_seed(seed)
    expected = 200
    draws = expected * factorial(length)
    orders = [random_order(batch_size, length, CPU) for _ in range(ceil(draws / batch_size))]
    drawn = Counter(map(tuple, torch.cat(orders)[:draws].tolist()))
    for permutation in permutations(range(length)):
        assert abs(drawn[permutation] - expected) < 6 * expected**0.5


@holds(50, seed=SEEDS, block=st.integers(0, 50), length=LENGTHS)
def test_a_fixed_order_has_each_token_once_and_is_made_without_the_global_generator(
    seed, block, length
):
    before = global_random_states()
    _cache.clear()
    first = fixed_order(seed, block, length, torch.zeros(1))
    assert global_random_states() == before
    assert torch.equal(first.sort().values, torch.arange(length))
    torch.manual_seed(seed)
    _cache.clear()
    assert torch.equal(first, fixed_order(seed, block, length, torch.zeros(1)))


@holds(
    80,
    importance=st.lists(
        st.one_of(
            st.sampled_from([float('nan'), float('inf'), -float('inf'), 0.0, -0.0, 1.0]),
            st.floats(width=16),
        ),
        min_size=1,
        max_size=60,
    ),
    dtype=st.sampled_from([torch.float64, torch.float32, torch.float16]),
)
def test_importance_sorts_descending_with_ties_in_raster_order_and_nan_last(importance, dtype):
    order = importance_order(torch.tensor([importance, importance[::-1]], dtype=dtype))
    for values, actual in zip((importance, importance[::-1]), order.tolist(), strict=True):
        ranks = [(isnan(value), 0 if isnan(value) else -value) for value in values]
        assert actual == sorted(range(len(values)), key=ranks.__getitem__)


@holds(50, seed=SEEDS, batch_size=BATCH_SIZES, length=LENGTHS)
def test_inverse_and_composition_are_those_of_permutations(seed, batch_size, length):
    order, target = random_orders(seed, batch_size, length, number=2)
    names = torch.arange(length).expand(batch_size, -1)
    assert torch.equal(invert(invert(order)), order)
    assert torch.equal(compose(invert(order), order), names)
    assert torch.equal(compose(names, target), target)
    x = torch.randn(batch_size, length, 3)
    assert torch.equal(permute(permute(x, order), invert(order)), x)
    moved = permute(permute(x, order), compose(invert(order), target))
    assert torch.equal(moved, permute(x, target))


@holds(80, seed=SEEDS, batch_size=BATCH_SIZES, length=LENGTHS, window_tokens=WINDOW_TOKENS)
def test_windows_are_full_and_have_no_token_twice(seed, batch_size, length, window_tokens):
    (order,) = random_orders(seed, batch_size, length)
    filled = fill_windows(order, window_tokens)
    assert torch.equal(filled[:, :length], order)
    size = min(window_tokens, length)
    assert filled.shape[1] == ceil(length / size) * size
    for window in filled.unflatten(1, (-1, size)).flatten(0, 1).tolist():
        assert len(set(window)) == size
    # What is repeated stands before what the last window lacks.
    assert torch.equal(filled[:, -size:].sort().values, order[:, -size:].sort().values)


@holds(50, seed=SEEDS, batch_size=BATCH_SIZES, length=LENGTHS, window_tokens=WINDOW_TOKENS)
def test_permute_equals_index_select_with_its_gradient(seed, batch_size, length, window_tokens):
    order, target = random_orders(seed, batch_size, length, number=2)
    places = compose(invert(order), fill_windows(target, window_tokens))
    x = torch.randn(batch_size, length, 2, dtype=torch.float64, requires_grad=True)
    actual = permute(x, places)
    expected = torch.stack([x[b].index_select(0, places[b]) for b in range(batch_size)])
    assert torch.equal(actual, expected)
    weight = torch.randn_like(actual)
    gradients = [torch.autograd.grad((out * weight).sum(), x)[0] for out in (actual, expected)]
    assert torch.equal(*gradients)


@holds(
    50,
    seed=SEEDS,
    batch_size=BATCH_SIZES,
    length=LENGTHS,
    window_tokens=WINDOW_TOKENS,
    heads=st.sampled_from([1, 2, 3, 6]),
    with_gradient=st.booleans(),
)
def test_attention_equals_the_explicit_one(
    seed, batch_size, length, window_tokens, heads, with_gradient
):
    torch.manual_seed(seed)
    attn = WindowAttention(6, heads, window_tokens).double()
    x = torch.randn(batch_size, length, 6, dtype=torch.float64)
    slots = fill_windows(torch.arange(length).unsqueeze(0), window_tokens)[0]
    with torch.set_grad_enabled(with_gradient):
        actual = attn(x[:, slots])[:, :length]
    torch.testing.assert_close(actual, window_attention(x, attn), rtol=0, atol=1e-12)


@holds(
    50,
    seed=SEEDS,
    batch_size=BATCH_SIZES,
    grid=st.tuples(st.integers(1, 15), st.integers(1, 15)),
    names=st.lists(st.sampled_from(list(MIXERS)), min_size=2, max_size=4),
)
def test_a_stage_equals_its_blocks_one_after_the_other(seed, batch_size, grid, names):
    mixers = [build_mixer(name, index=index) for index, name in enumerate(names)]
    stage = Stage(mixers, CHANNELS, [0.0] * len(mixers), position=None, with_cp=False)
    stage.double().eval()
    torch.manual_seed(seed)
    x = torch.randn(batch_size, grid[0] * grid[1], CHANNELS, dtype=torch.float64)
    with torch.no_grad():
        actual = stage(x, grid)
        for block in stage.blocks:
            alone = Stage([], CHANNELS, [], position=None, with_cp=False)
            alone.blocks.append(block)
            x = alone(x, grid)
    torch.testing.assert_close(actual, x, rtol=0, atol=1e-10)


@holds(
    100,
    arguments=models(),
    seed=SEEDS,
    batch_size=BATCH_SIZES,
    size=SIZES,
    dtype=st.sampled_from([torch.float32, torch.float64, torch.bfloat16]),
    is_black=st.booleans(),
    training=st.booleans(),
)
def test_a_pyramid_is_finite_and_has_its_shapes(
    arguments, seed, batch_size, size, dtype, is_black, training
):
    model = build(arguments, dtype).train(training)
    images = random_images(seed, batch_size, size, dtype)
    if is_black:  # all tokens are about equal
        images.zero_()
    outputs = model(images)
    for level, out in zip(arguments['out_indices'], outputs, strict=True):
        height, width = (ceil(side / (4 * 2**level)) for side in size)
        channels = arguments['arch']['embed_dims'] * 2**level
        assert out.shape == (batch_size, channels, height, width)
        assert out.dtype == dtype
        assert out.isfinite().all()


@holds(60, arguments=models(eval_sampling='fixed'), seed=SEEDS, batch_size=BATCH_SIZES, size=SIZES)
def test_an_image_in_a_batch_gives_what_it_gives_alone(arguments, seed, batch_size, size):
    # Rounding may exchange two tokens of about equal importance: hardly ever in float64.
    dtype = torch.float64 if 'ir' in arguments['mixers'] else torch.float32
    model = build(arguments, dtype).eval()
    images = random_images(seed, batch_size, size, dtype)
    with torch.no_grad():
        together = model(images)
        for index in range(batch_size):
            alone = model(images[index : index + 1])
            for out, expected in zip(together, alone, strict=True):
                torch.testing.assert_close(out[index], expected[0], rtol=0, atol=EQUAL[dtype])


@holds(
    50,
    arguments=models(eval_sampling='fixed'),
    seed=SEEDS,
    batch_size=BATCH_SIZES,
    size=SIZES,
    dtype=st.sampled_from([torch.float32, torch.float64, torch.bfloat16]),
)
def test_evaluation_repeats_and_leaves_the_global_random_state_alone(
    arguments, seed, batch_size, size, dtype
):
    model = build(arguments, dtype).eval()
    images = random_images(seed, batch_size, size, dtype)
    with torch.no_grad():
        before = global_random_states()
        first = model(images)
        assert global_random_states() == before
        torch.manual_seed(seed)
        assert all(map(torch.equal, first, model(images)))


@holds(40, arguments=models(eval_sampling='random'), seed=SEEDS, batch_size=BATCH_SIZES, size=SIZES)
def test_random_evaluation_repeats_from_the_global_seed(arguments, seed, batch_size, size):
    model = build(arguments).eval()
    images = random_images(seed, batch_size, size)
    runs = []
    for _ in range(2):
        torch.manual_seed(seed)
        with torch.no_grad():
            runs.append(model(images))
    assert all(map(torch.equal, *runs))


@holds(
    50,
    arguments=models(eval_sampling='fixed'),
    seed=SEEDS,
    batch_size=BATCH_SIZES,
    size=SIZES,
    elements=st.integers(1000, 20_000),
)
def test_inference_in_chunks_gives_what_a_pass_with_gradients_gives(
    arguments, seed, batch_size, size, elements
):
    model = build(arguments, torch.float64).eval()
    images = random_images(seed, batch_size, size, torch.float64)
    with torch.no_grad(), mock.patch.object(blocks, 'CHUNK_ELEMENTS', elements):
        actual = model(images)
    for out, expected in zip(actual, model(images), strict=True):
        torch.testing.assert_close(out, expected, rtol=0, atol=EQUAL[torch.float64])


@holds(50, arguments=models(drop_path_rate=0.5), seed=SEEDS, batch_size=BATCH_SIZES, size=SIZES)
def test_gradients_are_finite_and_checkpointing_leaves_them_bit_equal(
    arguments, seed, batch_size, size
):
    images = random_images(seed, batch_size, size)
    runs = []
    for with_cp in (False, True):
        model = build(dict(arguments, with_cp=with_cp)).train()
        torch.manual_seed(seed)
        outputs = model(images)
        weights = [torch.linspace(-1, 1, out.numel()).view_as(out) for out in outputs]
        sum((out * weight).sum() for out, weight in zip(outputs, weights, strict=True)).backward()
        runs.append([parameter.grad for parameter in model.parameters()])
    assert all(gradient.isfinite().all() for gradient in runs[0])
    assert all(map(torch.equal, *runs))
