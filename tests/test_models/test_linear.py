"""Linear layers, through oneDNN or not."""

import pytest
import torch
from torch import nn
from torch.nn import functional as F
from torch.nn.utils import prune
from torch.utils.flop_counter import FlopCounterMode

from mmrsir.models import PyramidTransformer, RSIRTransformer
from mmrsir.models import linear as module
from mmrsir.models.blocks import Block
from mmrsir.models.linear import LinearSequential, feed_forward, linear
from mmrsir.models.mixers import MIXERS

ARCH = dict(embed_dims=8, depths=(2, 2), num_heads=(2, 2))


@pytest.fixture
def products(monkeypatch):
    """Inputs of oneDNN's products."""
    assert module._has_product()  # tried once, and not counted
    calls = []
    multiply = module._multiply
    monkeypatch.setattr(module, '_multiply', lambda *args: calls.append(args[0]) or multiply(*args))
    return calls


def run(call, layer, x):
    x = x.clone().requires_grad_()
    layer.zero_grad()
    out = call(layer, x)
    out.square().sum().backward()
    return out, x.grad, layer.weight.grad, layer.bias.grad


@pytest.mark.parametrize('shape', [(8,), (1, 1, 8), (5, 8), (70, 49, 8), (2, 3, 7, 8), (0, 8)])
@pytest.mark.parametrize('strided', [False, True])
def test_equals_torchs_linear_layer(products, shape, strided):
    torch.manual_seed(0)
    layer = nn.Linear(8, 24)
    x = torch.randn(*shape[:-1], 16)[..., ::2] if strided else torch.randn(shape)
    ours = run(linear, layer, x)
    torchs = run(lambda layer, x: layer(x), layer, x)
    for one, other in zip(ours, torchs, strict=True):
        torch.testing.assert_close(one, other, rtol=1e-5, atol=1e-4)
    assert len(products) == 3 * (0 not in shape)  # one forwards, two backwards


def test_no_token_is_moved(products):
    x = torch.randn(3, 49, 8)
    out = linear(nn.Linear(8, 24), x)
    assert products[0].data_ptr() == x.data_ptr()
    assert out.is_contiguous()


def test_the_gradient_of_a_weight_multiplies_dense_tokens(products):
    """Of rows that lie apart oneDNN's product takes a hundred times as long."""
    x = torch.randn(16, 49, 8)[:, :1]  # as cut from padded windows
    run(linear, nn.Linear(8, 24), x.detach())
    run(lambda layer, x: linear(layer, x[:, :1]), nn.Linear(8, 24), torch.randn(16, 49, 8))
    assert not products[3].is_contiguous()  # forwards it makes no difference
    for tokens in (*products[1:3], *products[4:]):
        assert tokens.is_contiguous() or tokens.t().is_contiguous()


@pytest.mark.parametrize('create_graph', [False, True])
def test_gradients_of_gradients_are_right(create_graph):
    torch.manual_seed(0)
    layer = nn.Linear(8, 4)
    results = []
    for call in (linear, lambda layer, x: layer(x)):
        layer.zero_grad()
        x = torch.linspace(-1, 1, 40).reshape(5, 8).requires_grad_()
        (gradient,) = torch.autograd.grad(
            call(layer, x).square().sum(), x, create_graph=create_graph
        )
        if create_graph:
            gradient.square().sum().backward()
            results.append([gradient.detach(), x.grad, layer.weight.grad, layer.bias.grad])
        else:
            results.append([gradient])
    for one, other in zip(*results, strict=True):
        torch.testing.assert_close(one, other, rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize('needed', ['input', 'weight', 'bias'])
def test_frozen_parts_get_no_gradient(needed):
    layer, x = nn.Linear(8, 24).requires_grad_(False), torch.randn(5, 8)
    wanted = dict(input=x, weight=layer.weight, bias=layer.bias)[needed].requires_grad_()
    (gradient,) = torch.autograd.grad(linear(layer, x).sum(), wanted)
    (expected,) = torch.autograd.grad(layer(x).sum(), wanted)
    torch.testing.assert_close(gradient, expected, rtol=1e-5, atol=1e-4)


def test_weights_that_change_behind_torchs_back_are_seen():
    """A moving average writes through ``data``."""
    layer, x = nn.Linear(8, 24), torch.randn(5, 8)
    with torch.no_grad():
        linear(layer, x)
        layer.weight.data.mul_(2)
        torch.testing.assert_close(linear(layer, x), layer(x))


@pytest.mark.parametrize('dtype', [torch.float64, torch.bfloat16])
def test_other_types_go_through_torchs_linear_layer(products, dtype):
    layer = nn.Linear(8, 24).to(dtype)
    assert linear(layer, torch.randn(5, 8, dtype=dtype)).dtype == dtype
    with torch.autocast('cpu', dtype=torch.bfloat16):
        assert linear(nn.Linear(8, 24), torch.randn(5, 8)).dtype == torch.bfloat16
    assert not products


def test_exported_graphs_hold_linear_layers():
    layer = LinearSequential(nn.Linear(8, 24))
    program = torch.export.export(layer, (torch.randn(5, 8),))
    assert [str(n.target) for n in program.graph.nodes if n.op == 'call_function'] == [
        'aten.linear.default'
    ]
    assert 'aten::linear' in str(torch.jit.trace(layer, torch.randn(5, 8)).inlined_graph)


def test_counters_of_operations_see_linear_layers():
    layer, x = nn.Linear(8, 24), torch.randn(5, 8)
    with FlopCounterMode(display=False) as counter:
        linear(layer, x)
    assert counter.get_total_flops() == 2 * 5 * 8 * 24


def test_without_onednns_product_torchs_layer_serves(products, monkeypatch):
    monkeypatch.setattr(module, '_has_product', lambda: False)
    layer, x = nn.Linear(8, 24), torch.randn(5, 8)
    assert torch.equal(linear(layer, x), layer(x))
    assert not products


@pytest.mark.parametrize('name', MIXERS)
def test_all_linear_layers_are_torchs_own_and_all_go_through_onednn(products, name):
    model = PyramidTransformer(ARCH, mixers=(name,), out_indices=(0, 1)).eval()
    layers = [module for module in model.modules() if isinstance(module, nn.Linear)]
    assert len(layers) >= 4 * sum(ARCH['depths'])
    assert {type(layer) for layer in layers} == {nn.Linear}
    with torch.no_grad():
        model(torch.randn(1, 3, 64, 64))
    assert len(products) == len(layers)


def test_dynamic_quantization_finds_all_linear_layers():
    torch.manual_seed(0)
    model = RSIRTransformer(ARCH, out_indices=(0, 1)).eval()
    quantized = torch.ao.quantization.quantize_dynamic(model, {nn.Linear})
    kinds = [type(module).__module__ for module in quantized.modules()]
    assert sum('quantized.dynamic' in kind for kind in kinds) == 4 * sum(ARCH['depths'])
    image = torch.randn(1, 3, 24, 24)  # one window: the order does not matter
    with torch.no_grad():
        for level, expected in zip(quantized(image), model(image), strict=True):
            assert not torch.equal(level, expected)
            torch.testing.assert_close(level, expected, rtol=0, atol=0.2)


class Wrapped(torch.Tensor):
    """A tensor as quantization or sharding makes them: it knows ``F.linear`` alone."""

    @classmethod
    def __torch_function__(cls, function, types, args=(), kwargs=None):
        if function is F.linear:
            args = [one.as_subclass(torch.Tensor) if isinstance(one, cls) else one for one in args]
            return function(*args, **(kwargs or {}))
        return super().__torch_function__(function, types, args, kwargs or {})


@pytest.mark.parametrize('which', ['weight', 'input'])
def test_tensors_of_other_classes_reach_torchs_linear_layer(products, which):
    layer, x = nn.Linear(8, 24), torch.randn(5, 8)
    expected = layer(x).detach()
    if which == 'weight':
        weight = layer.weight.detach().as_subclass(Wrapped)
        del layer.weight
        layer.weight = weight
    else:
        x = x.as_subclass(Wrapped)
    assert torch.equal(linear(layer, x), expected)
    assert not products


def double(*arguments):
    return 2 * arguments[-1]


@pytest.mark.parametrize(
    'change',
    [
        lambda layer: layer.register_forward_hook(double),
        lambda layer: layer.register_forward_pre_hook(lambda _, x: (2 * x[0],)),
        lambda layer: setattr(layer, 'forward', double),
        lambda layer: nn.utils.parametrizations.weight_norm(layer),
        lambda layer: prune.l1_unstructured(layer, 'weight', 0.5),
    ],
)
def test_what_others_put_on_a_layer_is_called(products, change):
    layer, x = nn.Linear(8, 24), torch.randn(5, 8)
    change(layer)
    assert torch.equal(linear(layer, x), layer(x))
    assert not products


def build_ffn():
    torch.manual_seed(0)
    return Block(nn.Identity(), 8, 0.5, with_cp=False).ffn.eval()


@torch.no_grad()
def test_an_mlp_in_inference_is_two_products_alone(products, monkeypatch):
    ffn = build_ffn()
    x, identity = torch.randn(2, 3, 5, 8)
    expected = ffn(x, identity=identity)
    products.clear()
    monkeypatch.setattr(F, 'gelu', None)
    torch.testing.assert_close(feed_forward(ffn, x, identity), expected, rtol=1e-5, atol=1e-5)
    assert len(products) == 2


@torch.no_grad()
@pytest.mark.parametrize('name', ['', 'layers.0.0', 'layers.0.1', 'layers.2', 'dropout_layer'])
def test_whoever_looks_on_in_an_mlp_sees_its_layers(name):
    ffn, seen = build_ffn(), []
    ffn.get_submodule(name).register_forward_hook(lambda *args: seen.append(args))
    feed_forward(ffn, *torch.randn(2, 3, 5, 8))
    assert len(seen) == 1


@torch.no_grad()
@pytest.mark.parametrize('name', ['layers.0', 'layers.0.0', 'layers.0.1', 'layers.1'])
def test_mlp_with_a_layer_in_place_of_another_runs_as_it_is(name):
    ffn, (x, identity) = build_ffn(), torch.randn(2, 3, 5, 8)
    ffn.set_submodule(name, nn.Sequential(ffn.get_submodule(name), nn.Hardtanh(-0.01, 0.01)))
    assert torch.equal(feed_forward(ffn, x, identity), ffn(x, identity=identity))
    ffn.layers = nn.Tanh()
    assert torch.equal(feed_forward(ffn, x, identity), ffn(x, identity=identity))


@torch.no_grad()
def test_paths_that_a_user_drops_in_evaluation_are_dropped():
    ffn = build_ffn()
    ffn.dropout_layer.train().drop_prob = 1 - 1e-9
    x, identity = torch.randn(2, 3, 5, 8)
    assert torch.equal(feed_forward(ffn, x, identity), identity)
