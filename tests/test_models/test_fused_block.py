"""The fused way through a block is taken where it does the same, and gives the same."""

from types import SimpleNamespace

import pytest
import torch
import torch.nn.functional as F
from torch import nn
from torch.utils.flop_counter import FlopCounterMode

from mmrsir.models import RSIRTransformer, fused_block, windows

from .test_indexed import Kernels

ARCH = dict(embed_dims=32, depths=(2, 2), num_heads=(2, 4))
IMAGE = torch.randn(2, 3, 61, 50, generator=torch.Generator().manual_seed(0)).double()


class FusedKernels:
    """In place of those of CUDA, which test_fused_kernels.py holds to their word."""

    calls = 0

    @staticmethod
    def supports(*_):
        return True

    @staticmethod
    def add_attention(x, *operands):
        """Add attention."""
        FusedKernels.calls += 1
        *parameters, places, num_heads, window_tokens, eps = operands
        norm, qkv, proj = zip(parameters[::2], parameters[1::2], strict=True)
        normed = F.layer_norm(x, x.shape[2:], *norm, eps)
        tokens = F.linear(normed.to(qkv[0].dtype), *qkv)
        attended = Kernels.attend_indexed(tokens, places, num_heads, window_tokens)
        return x + F.linear(attended, *proj)

    @staticmethod
    def add_mlp(x, *operands):
        """Add what the MLP gives."""
        *parameters, eps = operands
        norm, first, second = zip(parameters[::2], parameters[1::2], strict=True)
        normed = F.layer_norm(x, x.shape[2:], *norm, eps)
        return x + F.linear(F.gelu(F.linear(normed.to(first[0].dtype), *first)), *second)


@pytest.fixture(autouse=True)
def switched_on(monkeypatch):
    """Tokens stay in raster order, and the fused way is switched on."""
    monkeypatch.setattr(windows, 'kernels', Kernels)
    monkeypatch.setattr(windows.WindowAttention, 'supports_indexed', lambda *_: True)
    monkeypatch.setattr(fused_block, 'fused_kernels', FusedKernels)
    monkeypatch.setattr(fused_block, 'enabled', True)
    monkeypatch.setattr(FusedKernels, 'calls', 0)


def build(dtype=torch.float64, **settings):
    torch.manual_seed(0)
    model = RSIRTransformer(ARCH, out_indices=(0, 1), **settings).eval().to(dtype)
    for parameter in model.parameters():  # no bias of 0, no norm of 1
        nn.init.normal_(parameter, std=0.3)
    return model


def fused_blocks(model, image=IMAGE):
    """Return how many blocks of a forward pass were fused."""
    FusedKernels.calls = 0
    model(image)
    return FusedKernels.calls


def unfused(monkeypatch, model, image=IMAGE):
    with monkeypatch.context() as patch:
        patch.setattr(fused_block, 'enabled', False)
        return model(image)


@pytest.mark.parametrize('settings', [{}, dict(with_cp=True), dict(window_size=3)])
@pytest.mark.parametrize('size', [(56, 56), (61, 50), (9, 17)])
@torch.no_grad()
def test_outputs_are_the_same(monkeypatch, size, settings):
    model, image = build(**settings), torch.randn(2, 3, *size, dtype=torch.float64)
    for one, other in zip(model(image), unfused(monkeypatch, model, image), strict=True):
        torch.testing.assert_close(one, other, rtol=1e-9, atol=1e-9)
    assert FusedKernels.calls == 4


def test_gradients_take_the_other_way():
    assert fused_blocks(build()) == 0
    with torch.no_grad():
        assert fused_blocks(build()) == 4
    with torch.inference_mode():
        assert fused_blocks(build()) == 4


@torch.no_grad()
def test_it_is_off_unless_it_is_switched_on(monkeypatch):
    monkeypatch.setattr(fused_block, 'enabled', False)
    assert fused_blocks(build()) == 0


@torch.no_grad()
def test_training_and_gates_take_the_other_way():
    assert fused_blocks(build(drop_path_rate=0.5).train()) == 0
    assert fused_blocks(build(importance='cbam')) == 2  # of RS-Win
    model = build()
    model.stages[0].blocks[0].drop_path.train()
    assert fused_blocks(model) == 3


class Adapted(nn.Linear):
    """A layer as tools put it in place of another."""


def adapt(block):
    block.mixer.attn.proj = Adapted(32, 32).double()


def hook(block):
    block.ffn.register_forward_hook(lambda *_: None)


def replace_activation(block):
    block.ffn.layers[0][1] = nn.ReLU()


def insert_layer(block):
    block.ffn.layers.append(nn.Linear(32, 32).double())


def narrow(block):
    block.norm2.float()


def freeze_as_tensor(block):
    weight = block.mixer.attn.qkv.weight.detach()
    del block.mixer.attn.qkv.weight
    block.mixer.attn.qkv.weight = weight


@pytest.mark.parametrize(
    'change', [adapt, hook, replace_activation, insert_layer, freeze_as_tensor]
)
@torch.no_grad()
def test_a_block_that_was_changed_takes_the_other_way(monkeypatch, change):
    model = build()
    change(model.stages[0].blocks[1])
    assert fused_blocks(model) == 3
    for one, other in zip(model(IMAGE), unfused(monkeypatch, model), strict=True):
        torch.testing.assert_close(one, other, rtol=1e-9, atol=1e-9)


@torch.no_grad()
def test_layers_of_another_type_take_the_other_way():
    block = build().stages[0].blocks[0]
    x = torch.zeros(1, 4, 32, dtype=torch.float64)
    assert fused_block.is_fused(block, x, None)
    narrow(block)
    assert not fused_block.is_fused(block, x, None)


@torch.no_grad()
def test_who_counts_operators_sees_those_of_torch():
    with FlopCounterMode(display=False) as counter:
        assert fused_blocks(build()) == 0
    assert counter.get_total_flops() > 0


@torch.no_grad()
def test_autocast_multiplies_in_its_type_and_keeps_the_tokens(monkeypatch):
    monkeypatch.setattr(torch, 'is_autocast_enabled', lambda *_: True)
    monkeypatch.setattr(torch, 'get_autocast_dtype', lambda *_: torch.bfloat16)
    asked = []

    def supports(device, dtype, *shape):
        asked.append((dtype, shape))
        return True

    fake = SimpleNamespace(
        supports=supports,
        add_attention=lambda x, *operands: asked.append([one.dtype for one in operands[:6]]) or x,
        add_mlp=lambda x, *operands: asked.append([one.dtype for one in operands[:6]]) or x,
    )
    monkeypatch.setattr(fused_block, 'fused_kernels', fake)
    block = build(torch.float32).stages[1].blocks[0]
    x, places = torch.zeros(1, 9, 64), torch.arange(9).unsqueeze(0)
    assert fused_block.is_fused(block, x, None)
    assert fused_block.run_fused(block, x, places).dtype == torch.float32
    types = [*2 * [torch.float32], *4 * [torch.bfloat16]]
    assert asked == [(torch.bfloat16, (64, 4, 49)), types, types]
    # Autocast would give these tokens another type.
    assert not fused_block.is_fused(block.bfloat16(), x.bfloat16(), None)


@pytest.mark.parametrize('dynamic', [False, pytest.param(True, marks=pytest.mark.slow)])
def test_it_compiles_without_breaks(monkeypatch, dynamic):
    kernels = pytest.importorskip('mmrsir.models.fused_kernels')
    torch.compiler.reset()
    model = build()
    monkeypatch.setattr(fused_block, 'fused_kernels', kernels)
    monkeypatch.setattr(kernels, 'supports', lambda *_: True)
    called = []

    def backend(graph, _):
        called.extend(str(node.target) for node in graph.graph.nodes)
        return lambda *_: expected  # in place of kernels, which need a GPU

    with torch.no_grad():
        expected = unfused(monkeypatch, model)
        compiled = torch.compile(model, backend=backend, dynamic=dynamic, fullgraph=True)
        assert compiled(IMAGE) is not None
        halves = [one for one in called if 'mmrsir.add_' in one]
        assert sum('add_attention' in one for one in halves) == 4 and len(halves) == 8
        called.clear()
        monkeypatch.setattr(fused_block, 'enabled', False)
        compiled(IMAGE)
        assert called and not [one for one in called if 'mmrsir.add_' in one]


def test_an_environment_variable_switches_it_on(monkeypatch):
    monkeypatch.delenv(fused_block.SWITCH, raising=False)
    assert not fused_block.is_switched_on()
    for value, expected in (('0', False), ('1', True)):
        monkeypatch.setenv(fused_block.SWITCH, value)
        assert fused_block.is_switched_on() is expected
    monkeypatch.setattr(fused_block, 'fused_kernels', None)
    with pytest.warns(UserWarning, match='MMRSIR_FUSED_KERNELS=1 has no effect: Triton'):
        assert not fused_block.is_switched_on()
    monkeypatch.setenv(fused_block.SWITCH, 'yes')
    with pytest.raises(ValueError, match="MMRSIR_FUSED_KERNELS='yes' is unknown; allowed"):
        fused_block.is_switched_on()


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason='needs a GPU')
@pytest.mark.parametrize('compiled', [False, True])
@pytest.mark.parametrize('autocast', [False, True])
@torch.no_grad()
def test_the_kernels_are_used_on_a_gpu_and_stay_close(monkeypatch, autocast, compiled):
    monkeypatch.undo()
    calls = []
    monkeypatch.setattr(fused_block, 'enabled', True)
    run = fused_block.run_fused
    if not compiled:
        monkeypatch.setattr(
            'mmrsir.models.blocks.run_fused', lambda *args: calls.append(1) or run(*args)
        )
    torch.manual_seed(0)
    # One window: the order, which rounding would change, does not matter.
    model = RSIRTransformer(ARCH, out_indices=(0, 1), position=None).eval().cuda()
    image = torch.randn(2, 3, 24, 24, device='cuda')
    expected = model(image)
    assert not calls  # float32 is left to torch
    if not autocast:
        model, image = model.bfloat16(), image.bfloat16()
    if compiled:
        model.compile(backend='aot_eager', fullgraph=True)
    with torch.autocast('cuda', torch.bfloat16, enabled=autocast):
        actual = model(image)
    assert compiled or len(calls) == 4
    for one, other in zip(actual, expected, strict=True):
        torch.testing.assert_close(one.float(), other, rtol=0, atol=5e-2)
