"""Linear layers, through oneDNN or not."""

import pytest
import torch
from torch import nn
from torch.nn import functional as F
from torch.profiler import ProfilerActivity, profile

from mmrsir.models import PyramidTransformer
from mmrsir.models.linear import Linear
from mmrsir.models.mixers import MIXERS


@pytest.fixture(autouse=True)
def threads():
    """With one thread torch convolves without oneDNN."""
    before = torch.get_num_threads()
    torch.set_num_threads(2)
    yield
    torch.set_num_threads(before)


@pytest.fixture
def convolutions(monkeypatch):
    """Calls of conv2d."""
    calls = []
    conv2d = F.conv2d
    monkeypatch.setattr(F, 'conv2d', lambda *args: calls.append(args[0]) or conv2d(*args))
    return calls


def run(layer, x):
    x = x.clone().requires_grad_()
    out = layer(x)
    out.square().sum().backward()
    return out, x.grad, layer.weight.grad, layer.bias.grad


@pytest.mark.parametrize('shape', [(8,), (1, 1, 8), (5, 8), (70, 49, 8), (2, 3, 7, 8), (0, 8)])
@pytest.mark.parametrize('strided', [False, True])
def test_equals_torchs_linear_layer(convolutions, shape, strided):
    torch.manual_seed(0)
    ours, torchs = Linear(8, 24), nn.Linear(8, 24)
    torchs.load_state_dict(ours.state_dict())
    x = torch.randn(*shape[:-1], 16)[..., ::2] if strided else torch.randn(shape)
    for one, other in zip(run(ours, x), run(torchs, x), strict=True):
        torch.testing.assert_close(one, other, rtol=1e-5, atol=1e-4)
    assert len(convolutions) == (0 not in shape)


def test_no_token_is_moved(convolutions):
    x = torch.randn(3, 49, 8)
    out = Linear(8, 24)(x)
    assert convolutions[0].data_ptr() == x.data_ptr()
    assert convolutions[0].is_contiguous(memory_format=torch.channels_last)
    assert out.is_contiguous()


@pytest.mark.parametrize('dtype', [torch.float64, torch.bfloat16])
def test_other_types_go_through_torchs_linear_layer(convolutions, dtype):
    layer = Linear(8, 24).to(dtype)
    assert layer(torch.randn(5, 8, dtype=dtype)).dtype == dtype
    with torch.autocast('cpu', dtype=torch.bfloat16):
        assert Linear(8, 24)(torch.randn(5, 8)).dtype == torch.bfloat16
    assert not convolutions


def test_exported_graphs_hold_linear_layers():
    layer = nn.Sequential(Linear(8, 24))
    program = torch.export.export(layer, (torch.randn(5, 8),))
    assert [str(n.target) for n in program.graph.nodes if n.op == 'call_function'] == [
        'aten.linear.default'
    ]
    assert 'aten::linear' in str(torch.jit.trace(layer, torch.randn(5, 8)).inlined_graph)


def test_many_tokens_reach_onednn_in_training_too():
    x = torch.randn(70, 49, 8, requires_grad=True)  # torch keeps smaller inputs to itself
    with profile(activities=[ProfilerActivity.CPU]) as profiled:
        Linear(8, 24)(x).sum().backward()
    names = {event.key for event in profiled.key_averages()}
    assert {'aten::mkldnn_convolution', 'aten::convolution_backward'} <= names
    assert 'aten::addmm' not in names


def test_a_single_thread_leaves_it_to_torch(convolutions):
    torch.set_num_threads(1)
    Linear(8, 24)(torch.randn(70, 49, 8))
    assert not convolutions


@pytest.mark.parametrize('name', MIXERS)
def test_the_blocks_have_no_other_linear_layers(name):
    arch = dict(embed_dims=8, depths=(2, 2), num_heads=(2, 2))
    stages = PyramidTransformer(arch, mixers=(name,), out_indices=(0, 1)).stages
    assert {type(m) for m in stages.modules() if isinstance(m, nn.Linear)} == {Linear}
