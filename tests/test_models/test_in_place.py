"""A model whose tokens stay where they are gives what one gives that moves them."""

import pytest
import torch

from mmrsir.models import RSIRTransformer, windows

from .literal import window_attention

ARCH = dict(embed_dims=8, depths=(2, 3), num_heads=(1, 2))


class Kernels:
    """In place of those of CUDA, which tests/test_models/test_kernels.py holds to their word."""

    @staticmethod
    def attend_in_place(qkv, places, num_heads, window_tokens):
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
def in_place(monkeypatch):
    """Switch the kernel on, wherever the tokens are."""

    def switch():
        monkeypatch.setattr(windows, 'kernels', Kernels)
        monkeypatch.setattr(windows.WindowAttention, 'attends_in_place', lambda *_: True)

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
def test_outputs_and_gradients_are_the_same(in_place, size, settings, importance, training):
    torch.manual_seed(0)
    model = RSIRTransformer(
        ARCH, out_indices=(0, 1), importance=importance, drop_path_rate=0.5, **settings
    )
    model = model.double().train(training)
    image = torch.randn(2, 3, *size, dtype=torch.float64)
    moved = run(model, image)
    in_place()
    for one, other in zip(run(model, image), moved, strict=True):
        scale = max(1.0, other.abs().max().item())
        torch.testing.assert_close(one, other, rtol=0, atol=1e-10 * scale)


def test_no_token_is_moved(in_place, monkeypatch):
    in_place()
    monkeypatch.setattr('mmrsir.models.blocks.permute', None)
    RSIRTransformer(ARCH, out_indices=(0, 1))(torch.randn(1, 3, 64, 64))


@pytest.mark.skipif(not torch.cuda.is_available(), reason='needs a GPU')
@pytest.mark.parametrize('importance', ['mean', 'cbam'])
def test_the_kernel_is_used_on_a_gpu_and_gives_the_same(monkeypatch, importance):
    torch.manual_seed(0)
    arch = dict(ARCH, embed_dims=32)
    model = RSIRTransformer(arch, out_indices=(0, 1), importance=importance).cuda().train()
    image = torch.randn(2, 3, 61, 50, device='cuda')
    attention = model.stages[0].blocks[0].mixer.attn
    assert attention.attends_in_place(image)
    in_place = run(model, image)
    monkeypatch.setattr(windows, 'kernels', None)
    assert not attention.attends_in_place(image)
    for one, other in zip(in_place, run(model, image), strict=True):
        scale = max(1.0, other.abs().max().item())
        torch.testing.assert_close(one, other, rtol=0, atol=1e-4 * scale)


def test_parts_below_the_limit_of_cuda_give_the_same(monkeypatch):
    torch.manual_seed(0)
    attn = windows.WindowAttention(8, num_heads=2, window_tokens=4).double()
    x = torch.randn(1, 28, 8, dtype=torch.float64)
    monkeypatch.setattr(windows, 'MAX_PROBLEMS', 5)  # windows two by two
    calls = []
    attend = windows.F.scaled_dot_product_attention
    monkeypatch.setattr(
        windows.F, 'scaled_dot_product_attention', lambda *args: calls.append(1) or attend(*args)
    )
    torch.testing.assert_close(attn(x), window_attention(x, attn), rtol=0, atol=1e-12)
    assert len(calls) == 4
