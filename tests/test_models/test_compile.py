"""torch.compile: no graph breaks, and few graphs for many sizes; export and trace of mixers."""

import pytest
import torch
from torch import nn

from mmrsir.models import PyramidTransformer, RSIRTransformer
from mmrsir.models.mixers import MIXERS

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


@pytest.mark.parametrize(
    ('importance', 'training', 'backend'),
    [
        ('mean', False, 'eager'),
        pytest.param('mean', False, 'aot_eager', marks=pytest.mark.slow),
        pytest.param('cbam', True, 'aot_eager', marks=pytest.mark.slow),
    ],
)
def test_full_and_partial_windows_are_a_graph_each_without_breaks(importance, training, backend):
    torch.compiler.reset()
    model = build(training, importance=importance).double()  # another rounding, another order
    compiled = torch.compile(model, backend=backend, dynamic=True, fullgraph=True)
    with limit(2):
        for size in SIZES:
            image = torch.randn(2, 3, *size, dtype=torch.float64)
            assert_equal(run(model, compiled, image), run(model, model, image))


@pytest.mark.slow
def test_one_graph_serves_all_sizes_whose_windows_are_partial():
    torch.compiler.reset()
    arch = dict(ARCH, depths=(2, 1, 1, 1), num_heads=(1, 1, 1, 1))
    model = RSIRTransformer(arch).eval()
    compiled = torch.compile(model, backend='aot_eager', dynamic=True, fullgraph=True)
    with limit(1), torch.no_grad():
        for size in [(320, 384), (416, 416), (512, 352), (608, 320)]:
            compiled(torch.randn(2, 3, *size))


@pytest.mark.slow
def test_fewer_tokens_than_a_window_are_a_graph_of_their_own():
    """So the limits above are real ones."""
    torch.compiler.reset()
    compiled = torch.compile(build(False), backend='eager', dynamic=True, fullgraph=True)
    with limit(1), torch.no_grad():
        compiled(torch.randn(2, 3, *SIZES[0]))
        with pytest.raises(torch._dynamo.exc.FailOnRecompileLimitHit):
            compiled(torch.randn(2, 3, 24, 20))


@pytest.mark.parametrize(
    'settings',
    [dict(eval_sampling='random'), pytest.param(dict(importance='cbam'), marks=pytest.mark.slow)],
)
def test_one_graph_of_random_windows_serves_all_batch_sizes(settings):
    torch.compiler.reset()
    model = build('eval_sampling' not in settings, **settings)
    compiled = torch.compile(model, backend='eager', dynamic=True, fullgraph=True)
    with limit(1):
        for batch_size in (2, 3, 5):
            image = torch.randn(batch_size, 3, *SIZES[1])
            assert_equal(run(model, compiled, image), run(model, model, image))


def test_random_windows_export_for_any_batch():
    model = build(False, eval_sampling='random')
    image = torch.randn(2, 3, 61, 50)
    program = torch.export.export(
        model, (image,), dynamic_shapes=({0: torch.export.Dim.AUTO},)
    ).module()
    image = torch.randn(5, 3, 61, 50)
    with torch.no_grad():
        for forward in (program, model):
            torch.manual_seed(3)
            levels = forward(image)
            torch.manual_seed(3)
            assert_equal(levels, model(image))


@pytest.mark.parametrize('dynamic', [False, pytest.param(True, marks=pytest.mark.slow)])
def test_exported_models_hold_no_operator_of_ours(dynamic):
    model, image = build(False), torch.randn(1, 3, 61, 50)
    sizes = {2: torch.export.Dim.AUTO, 3: torch.export.Dim.AUTO} if dynamic else None
    program = torch.export.export(model, (image,), dynamic_shapes=(sizes,))
    targets = {str(node.target) for node in program.graph.nodes if node.op == 'call_function'}
    assert not [target for target in targets if 'mmrsir' in target]
    image = torch.randn(1, 3, 40, 98) if dynamic else image
    assert_equal(program.module()(image), model(image))


@pytest.mark.slow
def test_checkpointed_blocks_compile():
    torch.compiler.reset()
    model = build(True, with_cp=True)
    compiled = torch.compile(model, backend='aot_eager', fullgraph=True)
    image = torch.randn(2, 3, *SIZES[1])
    assert_equal(run(model, compiled, image), run(model, model, image))


class SecondMixer(nn.Module):
    """The mixer of a stage's second block, which shifts, dilates or sub-samples, on an image."""

    def __init__(self, model):
        super().__init__()
        self.mixer = model.stages[0].blocks[1].mixer

    def forward(self, image):
        return self.mixer(image.flatten(2).transpose(1, 2), image.shape[2:])


@pytest.mark.filterwarnings('ignore::torch.jit.TracerWarning')
@pytest.mark.parametrize(
    'name',
    [
        name if name == 'grid' else pytest.param(name, marks=pytest.mark.slow)
        for name in MIXERS
        if name not in ('rs', 'ir')
    ],
)
def test_compiled_exported_or_traced_mixers_serve_grids_that_are_padded_alike(name):
    torch.compiler.reset()
    torch.manual_seed(0)
    arch = dict(embed_dims=8, depths=(2,), num_heads=(2,))
    model = PyramidTransformer(arch, mixers=[name], downsampling='linear', out_indices=(0,)).eval()
    mixer = SecondMixer(model)
    first, other = torch.randn(2, 8, 24, 32), torch.randn(2, 8, 40, 48)
    sizes = {2: torch.export.Dim.AUTO, 3: torch.export.Dim.AUTO}
    exported = torch.export.export(mixer, (first,), dynamic_shapes=(sizes,)).module()
    compiled = torch.compile(mixer, backend='eager', dynamic=True, fullgraph=True)
    with limit(1), torch.no_grad():
        for image in (first, other):
            assert_equal([compiled(image), exported(image)], 2 * [mixer(image)])
        first, other = torch.randn(2, 3, 96, 128), torch.randn(2, 3, 160, 192)
        traced = torch.jit.trace(model, first)
        assert_equal(traced(other), model(other))
