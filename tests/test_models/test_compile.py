"""torch.compile: one graph for whole windows, one where the last window is filled up."""

import pytest
import torch

from mmrsir.models import RSIRTransformer

ARCH = dict(embed_dims=8, depths=(2, 1), num_heads=(1, 2))
# The grid of stage 0 has no, a partial, no, a partial window; landscape, square, portrait.
SIZES = [(112, 224), (96, 128), (224, 224), (256, 224), (61, 250)]


def build(training, **settings):
    torch.manual_seed(0)
    model = RSIRTransformer(ARCH, out_indices=(0, 1), drop_path_rate=0.5, **settings)
    return model.train(training)


def assert_equal(actual, expected):
    for one, other in zip(actual, expected, strict=True):
        largest = max(1.0, other.abs().max().item())
        torch.testing.assert_close(one, other, rtol=1e-4, atol=1e-5 * largest)


def run(model, forward, image):
    """Return outputs and, in training, gradients."""
    torch.manual_seed(1)
    with torch.set_grad_enabled(model.training):
        outputs = forward(image)
    if not model.training:
        return list(outputs)
    model.zero_grad()
    weights = [torch.linspace(-1, 1, out.numel()).view_as(out) for out in outputs]
    sum((out * weight).sum() for out, weight in zip(outputs, weights, strict=True)).backward()
    return [*outputs, *(parameter.grad for parameter in model.parameters())]


@pytest.mark.parametrize(('importance', 'training'), [('mean', False), ('cbam', True)])
@torch._dynamo.config.patch(recompile_limit=2, fail_on_recompile_limit_hit=True)
def test_two_graphs_without_breaks_serve_all_sizes(importance, training):
    torch.compiler.reset()
    model = build(training, importance=importance)
    compiled = torch.compile(model, backend='aot_eager', dynamic=True, fullgraph=True)
    for size in SIZES:
        image = torch.randn(2, 3, *size)
        assert_equal(run(model, compiled, image), run(model, model, image))


def test_a_third_kind_of_size_would_be_noticed():
    """Fewer tokens than a window are a graph of their own: the limit above is a real one."""
    torch.compiler.reset()
    compiled = torch.compile(build(False), backend='eager', dynamic=True, fullgraph=True)
    limits = dict(recompile_limit=2, fail_on_recompile_limit_hit=True)
    with (
        torch.no_grad(),
        torch._dynamo.config.patch(limits),
        pytest.raises(torch._dynamo.exc.FailOnRecompileLimitHit),
    ):
        for size in [*SIZES[:2], (24, 20)]:
            compiled(torch.randn(2, 3, *size))


def test_checkpointed_blocks_compile():
    torch.compiler.reset()
    model = build(True, with_cp=True)
    compiled = torch.compile(model, backend='aot_eager', fullgraph=True)
    image = torch.randn(2, 3, *SIZES[1])
    assert_equal(run(model, compiled, image), run(model, model, image))
