"""What the backbone reports of its blocks is what they do."""

from functools import partial
from itertools import pairwise

import pytest
import torch
from torch import nn

from mmrsir.models import PyramidTransformer
from mmrsir.models.mixers import MIXERS
from mmrsir.models.mixers.base import Arrangement, Mixer

ARCH = dict(embed_dims=8, depths=(2, 2, 2, 1), num_heads=(2, 2, 2, 4))
SIZE = (45, 70)  # no side is a multiple of a stride, no window divides a sequence
POINT = (69, 44)  # the last pixel


def build(mixers=('rs', 'ir'), **settings):
    torch.manual_seed(0)
    model = PyramidTransformer(ARCH, mixers=mixers, window_size=3, **settings).double().eval()
    for parameter in model.parameters():
        nn.init.normal_(parameter, std=0.3)
    return model


def draw_images(batch_size=2, size=SIZE):
    return torch.randn(batch_size, 3, *size, dtype=torch.float64)


def flatten(traces):
    return [trace for blocks in traces for trace in blocks]


@pytest.mark.parametrize('mixer', [name for name in MIXERS if name not in ('rs', 'ir')])
def test_traced_features_are_those_of_the_forward_pass_for_every_mixer(mixer):
    check_features(build((mixer,), downsampling='linear'))


@pytest.mark.parametrize('importance', ['mean', 'cbam'])
@pytest.mark.parametrize('with_cp', [False, True])
def test_traced_features_are_those_of_the_forward_pass(importance, with_cp):
    check_features(build(importance=importance, with_cp=with_cp))


def check_features(model):
    images = draw_images()
    for index, (blocks, level) in enumerate(
        zip(model.trace(images, POINT), model(images), strict=True)
    ):
        features = getattr(model, f'norm{index}')(blocks[-1].features_BCHW.movedim(1, -1))
        torch.testing.assert_close(features.movedim(-1, 1), level, rtol=0, atol=1e-9)


@pytest.mark.parametrize('mixers', [('rs', 'ir'), *[(name,) for name in MIXERS if len(name) > 2]])
def test_weights_add_up_to_one_and_the_query_sees_itself(mixers):
    with torch.no_grad():
        traces = build(mixers).trace(draw_images(), POINT)
    for stage, blocks in enumerate(traces):
        for trace in blocks:
            row, column = trace.query
            assert trace.query == (44 // (4 * 2**stage), 69 // (4 * 2**stage))
            assert trace.weights_BhHW.shape[1] == ARCH['num_heads'][stage]
            assert trace.weights_BhHW.shape[2:] == trace.features_BCHW.shape[2:]
            sums = trace.weights_BhHW.sum((2, 3))
            torch.testing.assert_close(sums, torch.ones_like(sums), rtol=0, atol=1e-12)
            assert (trace.weights_BhHW[:, :, row, column] > 0).all()


def test_a_query_sees_the_tokens_of_its_window():
    # 108, 30, 12 and 4 tokens by stage: windows of 9 fill the first stage alone.
    with torch.no_grad():
        traces = build().trace(draw_images(size=(36, 48)), (20, 20))
    for trace in traces[0]:
        row, column = trace.query
        windows = trace.windows_BHW
        same = windows == windows[:, row, column].reshape(-1, 1, 1)
        assert (same.sum((1, 2)) == 9).all()
        assert torch.equal((trace.weights_BhHW > 0).all(1), same)


@pytest.mark.parametrize('mixers', [('rs', 'ir'), *[(name,) for name in MIXERS if len(name) > 2]])
def test_weights_that_no_mixer_gives_come_from_gradients_and_see_the_same(monkeypatch, mixers):
    model, images = build(mixers), draw_images()
    with torch.no_grad():
        given = flatten(model.trace(images, POINT))
        for module in model.modules():
            if isinstance(module, Mixer):
                monkeypatch.setattr(
                    module, 'attention_weights', partial(Mixer.attention_weights, module)
                )
        for one, other in zip(flatten(model.trace(images, POINT)), given, strict=True):
            seen, expected = (trace.weights_BhHW.sum(1) > 0 for trace in (one, other))
            assert torch.equal(seen, expected)


class Reversed(Mixer):
    """A mixer as a user writes it: pairs of tokens, from the last to the first."""

    window_tokens = 2

    def __init__(self, settings):
        super().__init__()

    def arrange(self, x_BLC, inverse_BL, grid):
        order_L = torch.arange(grid[0] * grid[1]).flip(0)
        return Arrangement(order_L.expand(len(x_BLC), -1))

    def forward(self, x_BMC, grid):
        return x_BMC.unflatten(1, (-1, 2)).cumsum(2).flatten(1, 2)


@pytest.mark.parametrize('mode', [torch.no_grad, torch.inference_mode])
def test_a_new_mixer_needs_no_code_for_pictures(monkeypatch, mode):
    monkeypatch.setitem(MIXERS, 'reversed', Reversed)
    with mode():
        traces = build(('reversed',)).trace(draw_images(size=(32, 64)), (0, 0))
    trace = traces[0][0]  # 8 x 16 tokens; the first one is the last of the last pair
    weights = trace.weights_BhHW[0, 0].flatten()
    assert trace.mixer == 'reversed'
    assert weights.nonzero().flatten().tolist() == [0, 1]
    torch.testing.assert_close(weights.sum(), torch.ones_like(weights.sum()))
    assert trace.windows_BHW[0].flatten().tolist() == [63 - token // 2 for token in range(128)]


def test_important_windows_come_first():
    with torch.no_grad():
        traces = build().trace(draw_images(), POINT)
    for blocks in traces:
        random, *important = blocks
        assert random.mixer == 'rs' and random.importance_BHW is None
        for trace in important:
            assert trace.mixer == 'ir'
            importance, windows = trace.importance_BHW[0], trace.windows_BHW[0]
            values = [importance[windows == number] for number in range(int(windows.max()) + 1)]
            assert all(one.min() >= other.max() for one, other in pairwise(values))


def test_every_sample_has_the_weights_that_it_has_alone():
    images = draw_images()
    with torch.no_grad():
        model = build()
        both = flatten(model.trace(images, POINT))
        alone = flatten(model.trace(images[1:], POINT))
    for one, other in zip(both, alone, strict=True):
        torch.testing.assert_close(one.weights_BhHW[1:], other.weights_BhHW, rtol=0, atol=1e-12)


def test_gradients_reach_the_pixels():
    images = draw_images(1).requires_grad_()
    trace = flatten(build().trace(images, POINT))[-1]
    row, column = trace.query
    trace.features_BCHW[0, :, row, column].sum().backward()
    assert images.grad.abs().sum() > 0


@pytest.mark.parametrize('point', [(70, 0), (0, 45), (-1, 0)])
def test_a_point_outside_is_refused(point):
    with pytest.raises(ValueError, match=rf'point=\({point[0]}, {point[1]}\) .* 70 x 45 pixels'):
        build().trace(draw_images(), point)
