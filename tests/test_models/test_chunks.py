"""Inference in chunks of windows equals inference at once."""

import pytest
import torch

from mmrsir.models import RSIRTransformer, blocks
from mmrsir.models.fixed_order import _cache

ARCH = dict(embed_dims=8, depths=(2, 2), num_heads=(1, 2))


def build(**settings):
    torch.manual_seed(0)
    model = RSIRTransformer(ARCH, out_indices=(0, 1), **settings).double().eval()
    model.init_weights()
    return model


def count_calls(model, monkeypatch, elements, image, training=False, gradients=False):
    """Run a model with chunks of this size; return its outputs and the calls of an attention."""
    monkeypatch.setattr(blocks, 'CHUNK_ELEMENTS', elements)
    calls = []
    block = model.stages[0].blocks[1]
    plain = block._plain

    def count(*arguments):
        calls.append(1)
        return plain(*arguments)

    monkeypatch.setattr(block, '_plain', count)
    with torch.set_grad_enabled(gradients):
        outputs = model.train(training)(image)
    monkeypatch.setattr(block, '_plain', plain)
    return outputs, len(calls)


@pytest.mark.parametrize('importance', ['mean', 'cbam'])
@pytest.mark.parametrize('position', ['peg', None])
# Tokens of stage 0: whole windows, a partial one, fewer than a window, one more than a window.
@pytest.mark.parametrize('size', [(112, 56), (100, 84), (20, 24), (40, 20)])
@pytest.mark.parametrize('elements', [1, 49 * 8, 700])
def test_result_does_not_depend_on_the_chunks(monkeypatch, importance, position, size, elements):
    model = build(importance=importance, position=position)
    image = torch.randn(3, 3, *size, dtype=torch.float64)
    expected, whole = count_calls(model, monkeypatch, 10**9, image)
    actual, chunks = count_calls(model, monkeypatch, elements, image)
    assert whole == 1
    assert chunks > 1
    for one, other in zip(actual, expected, strict=True):
        torch.testing.assert_close(one, other, rtol=1e-12, atol=1e-12)


def test_small_samples_share_a_chunk(monkeypatch):
    model = build()
    image = torch.randn(5, 3, 28, 28, dtype=torch.float64)  # 49 tokens of 8 channels each
    _, chunks = count_calls(model, monkeypatch, 49 * 8 * 2, image)
    assert chunks == 3


def test_chunks_cover_everything_once_and_hold_no_more_than_they_may(monkeypatch):
    monkeypatch.setattr(blocks, 'CHUNK_ELEMENTS', 49 * 8 * 3)
    x_BMC = torch.zeros(2, 49 * 10, 8)
    sizes = []
    for samples, tokens in blocks._chunks(x_BMC[:, :, 0], 8, 49):
        x_BMC[samples, tokens] += 1
        sizes.append(tuple(x_BMC[samples, tokens].shape[:2]))
    assert sizes == [(1, 147), (1, 147), (1, 147), (1, 49)] * 2
    assert (x_BMC == 1).all()


@pytest.mark.parametrize(('training', 'gradients'), [(True, True), (False, True), (True, False)])
def test_nothing_is_chunked_in_training_or_where_gradients_are_wanted(
    monkeypatch, training, gradients
):
    image = torch.randn(1, 3, 64, 64, dtype=torch.float64)
    _, calls = count_calls(build(), monkeypatch, 1, image, training, gradients)
    assert calls == 1


@pytest.mark.parametrize('name', ['', 'norm1', 'mixer.attn.qkv', 'ffn.layers.0.0', 'drop_path'])
@pytest.mark.parametrize('register', ['register_forward_hook', 'register_forward_pre_hook'])
def test_a_block_with_a_hook_on_any_module_is_not_chunked(monkeypatch, name, register):
    model, image = build(), torch.randn(2, 3, 64, 64, dtype=torch.float64)
    expected, chunks = count_calls(model, monkeypatch, 49 * 8, image)
    shapes = []
    module = model.stages[0].blocks[1].get_submodule(name)
    handle = getattr(module, register)(lambda _, inputs, *rest: shapes.append(inputs[0].shape))
    outputs, calls = count_calls(model, monkeypatch, 49 * 8, image)
    handle.remove()
    assert chunks > calls == len(shapes) == 1
    assert shapes[0][0] == 2  # all samples at once
    assert count_calls(model, monkeypatch, 49 * 8, image)[1] == chunks
    for one, other in zip(outputs, expected, strict=True):
        torch.testing.assert_close(one, other, rtol=1e-12, atol=1e-12)


def test_global_hooks_see_no_chunks(monkeypatch):
    model, image = build(), torch.randn(2, 3, 64, 64, dtype=torch.float64)
    handle = torch.nn.modules.module.register_module_forward_hook(lambda *_: None)
    try:
        assert count_calls(model, monkeypatch, 49 * 8, image)[1] == 1
    finally:
        handle.remove()


def test_hooks_on_stages_and_norms_get_tokens_in_raster_order(monkeypatch):
    model, image = build(), torch.randn(2, 3, 61, 50, dtype=torch.float64)
    outputs = {}
    for name in ('stages.0', 'stages.1', 'norm0', 'norm1'):
        model.get_submodule(name).register_forward_hook(
            lambda module, _, output: outputs.__setitem__(module, output)
        )
    levels, _ = count_calls(model, monkeypatch, 49 * 8, image)
    for index, level in enumerate(levels):
        norm = getattr(model, f'norm{index}')
        assert torch.equal(outputs[norm].transpose(1, 2).unflatten(2, level.shape[2:]), level)
        assert torch.equal(norm(outputs[model.stages[index]]), outputs[norm])


def test_a_traced_model_gives_what_the_model_gives_at_other_sizes_too():
    _cache.clear()  # as in a model that has not run yet
    model = build()
    image = torch.randn(1, 3, 84, 100, dtype=torch.float64)
    with torch.no_grad():
        traced = torch.jit.trace(model, image)
        for size in [(84, 100), (61, 50)]:
            image = torch.randn(2, 3, *size, dtype=torch.float64)
            for one, other in zip(traced(image), model(image), strict=True):
                torch.testing.assert_close(one, other, rtol=1e-12, atol=1e-12)
