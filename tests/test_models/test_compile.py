"""torch.compile: no graph breaks, and few graphs for many sizes."""

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


def limit(graphs):
    """Fail where a model needs more graphs."""
    return torch._dynamo.config.patch(recompile_limit=graphs, fail_on_recompile_limit_hit=True)


@pytest.mark.parametrize(('importance', 'training'), [('mean', False), ('cbam', True)])
def test_full_and_partial_windows_are_a_graph_each_without_breaks(importance, training):
    torch.compiler.reset()
    model = build(training, importance=importance)
    compiled = torch.compile(model, backend='aot_eager', dynamic=True, fullgraph=True)
    with limit(2):
        for size in SIZES:
            image = torch.randn(2, 3, *size)
            assert_equal(run(model, compiled, image), run(model, model, image))


def test_one_graph_serves_all_sizes_whose_windows_are_partial():
    torch.compiler.reset()
    arch = dict(ARCH, depths=(2, 1, 1, 1), num_heads=(1, 1, 1, 1))
    model = RSIRTransformer(arch).eval()
    compiled = torch.compile(model, backend='aot_eager', dynamic=True, fullgraph=True)
    with limit(1), torch.no_grad():
        for size in [(320, 384), (416, 416), (512, 352), (608, 320)]:
            compiled(torch.randn(2, 3, *size))


def test_fewer_tokens_than_a_window_are_a_graph_of_their_own():
    """So the limits above are real ones."""
    torch.compiler.reset()
    compiled = torch.compile(build(False), backend='eager', dynamic=True, fullgraph=True)
    with limit(1), torch.no_grad():
        compiled(torch.randn(2, 3, *SIZES[0]))
        with pytest.raises(torch._dynamo.exc.FailOnRecompileLimitHit):
            compiled(torch.randn(2, 3, 24, 20))


def test_checkpointed_blocks_compile():
    torch.compiler.reset()
    model = build(True, with_cp=True)
    compiled = torch.compile(model, backend='aot_eager', fullgraph=True)
    image = torch.randn(2, 3, *SIZES[1])
    assert_equal(run(model, compiled, image), run(model, model, image))
