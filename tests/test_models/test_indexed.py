"""A model whose tokens stay where they are gives what one gives that moves them."""

import pytest
import torch

from mmrsir.models import PyramidTransformer, RSIRTransformer, windows

from ..helpers.literal import window_attention

ARCH = dict(embed_dims=8, depths=(2, 3), num_heads=(1, 2))


class Kernels:
    """In place of those of CUDA, which tests/test_models/test_kernels.py holds to their word."""

    @staticmethod
    def attend_indexed(qkv, places, num_heads, window_tokens):
        """Gather, attend, scatter."""
        num_tokens = qkv.shape[1]
        moved = torch.stack([one[place] for one, place in zip(qkv, places, strict=True)])
        size = min(window_tokens, num_tokens)
        q, k, v = moved.unflatten(1, (-1, size)).unflatten(-1, (3, num_heads, -1)).unbind(3)
        scores = torch.einsum('bwqhd,bwkhd->bwhqk', q, k) * q.shape[-1] ** -0.5
        attended = torch.einsum('bwhqk,bwkhd->bwqhd', scores.softmax(-1), v)
        attended = attended.flatten(3).flatten(1, 2)[:, :num_tokens]
        inverse = places[:, :num_tokens].argsort(dim=1)
        return torch.stack([one[place] for one, place in zip(attended, inverse, strict=True)])


@pytest.fixture
def use_index(monkeypatch):
    """Switch the kernel on, wherever the tokens are, or off."""

    def switch(on=True):
        monkeypatch.setattr(windows, 'kernels', Kernels)
        monkeypatch.setattr(windows.WindowAttention, 'supports_indexed', lambda *_: on)

    return switch


def run(model, image):
    """Return outputs and gradients."""
    torch.manual_seed(1)
    image = image.clone().requires_grad_()
    model.zero_grad()
    outputs = model(image)
    weights = [torch.linspace(-1, 1, out.numel()).view_as(out) for out in outputs]
    sum((out * weight).sum() for out, weight in zip(outputs, weights, strict=True)).backward()
    return [*outputs, image.grad, *(parameter.grad for parameter in model.parameters())]


@pytest.mark.parametrize('training', [True, False])
@pytest.mark.parametrize('importance', ['mean', 'cbam'])
@pytest.mark.parametrize('settings', [dict(), dict(with_cp=True), dict(position=None)])
@pytest.mark.parametrize('size', [(56, 56), (61, 50), (9, 17)])
def test_outputs_and_gradients_are_the_same(use_index, size, settings, importance, training):
    torch.manual_seed(0)
    model = RSIRTransformer(
        ARCH, out_indices=(0, 1), importance=importance, drop_path_rate=0.5, **settings
    )
    model = model.double().train(training)
    image = torch.randn(2, 3, *size, dtype=torch.float64)
    moved = run(model, image)
    use_index()
    for one, other in zip(run(model, image), moved, strict=True):
        scale = max(1.0, other.abs().max().item())
        torch.testing.assert_close(one, other, rtol=0, atol=1e-10 * scale)


def test_compiled_blocks_do_what_their_stage_decides(use_index):
    """They may be compiled alone, and then may not decide for themselves."""
    model = RSIRTransformer(ARCH, out_indices=(0, 1)).double().eval()
    image = torch.randn(1, 3, 61, 50, dtype=torch.float64)
    moved = run(model, image)
    use_index()
    for block in model.stages[0].blocks:
        block.compile(backend='eager')
    run(model, image)
    use_index(on=False)
    for one, other in zip(run(model, image), moved, strict=True):
        torch.testing.assert_close(
            one, other, rtol=0, atol=1e-10 * max(1, float(other.abs().max()))
        )


def test_a_stage_moves_all_tokens_or_none(use_index, monkeypatch):
    """A gate of tokens in raster order would not fit tokens that a block before has moved."""
    torch.manual_seed(0)
    settings = dict(mixers=('rs', 'ir', 'axial'), importance='cbam', out_indices=(0, 1))
    model = PyramidTransformer(ARCH, **settings).double().eval()
    image = torch.randn(2, 3, 61, 50, dtype=torch.float64)
    moved = run(model, image)
    use_index()
    first = model.stages[0].blocks[0].mixer
    for able in (True, False):
        monkeypatch.setattr(first, 'supports_indexed', lambda _, able=able: able)
        for one, other in zip(run(model, image), moved, strict=True):
            largest = max(1, float(other.abs().max()))
            torch.testing.assert_close(one, other, rtol=0, atol=1e-10 * largest)


def test_no_token_is_moved(use_index, monkeypatch):
    use_index()
    monkeypatch.setattr('mmrsir.models.blocks.permute', None)
    monkeypatch.setattr('mmrsir.models.stage.permute', None)
    RSIRTransformer(ARCH, out_indices=(0, 1))(torch.randn(1, 3, 64, 64))


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason='needs a GPU')
@pytest.mark.parametrize('compiled', [False, True])
@pytest.mark.parametrize('training', [True, False])
@pytest.mark.parametrize('settings', [dict(), dict(importance='cbam'), dict(with_cp=True)])
def test_the_kernel_is_used_on_a_gpu_and_gives_the_same(monkeypatch, settings, training, compiled):
    torch.manual_seed(0)
    arch = dict(ARCH, embed_dims=32)
    model = RSIRTransformer(arch, out_indices=(0, 1), **settings).cuda().train(training)
    if compiled:
        model.compile(backend='aot_eager', fullgraph=True)
    image = torch.randn(2, 3, 61, 50, device='cuda')
    attention = model.stages[0].blocks[0].mixer.attn
    assert attention.supports_indexed(image)
    indexed = run(model, image)
    torch.compiler.reset()
    monkeypatch.setattr(windows, 'kernels', None)
    assert not attention.supports_indexed(image)
    for one, other in zip(indexed, run(model, image), strict=True):
        scale = max(1.0, other.abs().max().item())
        torch.testing.assert_close(one, other, rtol=0, atol=1e-4 * scale)


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason='needs a GPU')
@pytest.mark.parametrize('dtype', [torch.float16, torch.bfloat16])
def test_autocast_uses_the_kernel_and_stays_close(dtype):
    torch.manual_seed(0)
    model = RSIRTransformer(ARCH, out_indices=(0, 1), position=None, drop_path_rate=0.0).cuda()
    image = torch.randn(2, 3, 24, 24, device='cuda')  # one window: the order does not matter
    expected = run(model, image)
    with torch.autocast('cuda', dtype):
        assert model.stages[0].blocks[0].mixer.attn.supports_indexed(image)
        actual = run(model, image)
    for one, other in zip(actual[:2], expected[:2], strict=True):
        torch.testing.assert_close(one.float(), other, rtol=0, atol=5e-2)


def test_parts_below_the_limit_of_cuda_give_the_same(monkeypatch):
    torch.manual_seed(0)
    attn = windows.WindowAttention(8, num_heads=2, window_tokens=4).double()
    x = torch.randn(1, 28, 8, dtype=torch.float64)
    monkeypatch.setattr(windows, 'MAX_PROBLEMS', 5)  # windows two by two
    monkeypatch.setattr(windows, 'fused_attention', windows.attend_in_parts)
    calls = []
    attend = windows.F.scaled_dot_product_attention
    monkeypatch.setattr(
        windows.F, 'scaled_dot_product_attention', lambda *args: calls.append(1) or attend(*args)
    )
    torch.testing.assert_close(attn(x), window_attention(x, attn), rtol=0, atol=1e-12)
    assert len(calls) == 4
