"""The backbone: shapes, randomness, freezing, initialization, arguments."""

import random
from math import ceil

import numpy as np
import pytest
import torch
from torch import nn

from mmrsir.models import ARCHS, PyramidTransformer, RSIRTransformer
from mmrsir.models.mixers import ImportantRegionWindows, RandomSamplingWindows

SMALL = dict(embed_dims=8, depths=(2, 2, 2, 2), num_heads=(1, 2, 2, 4))


def build(**kwargs):
    torch.manual_seed(0)
    return RSIRTransformer(SMALL, **kwargs)


def gradients(model, image):
    """Gradients of a weighted sum: that of squares hardly changes behind a norm."""
    model.zero_grad()
    outputs = model(image)
    weights = [torch.linspace(-1, 1, out.numel()).view_as(out) for out in outputs]
    sum((out * weight).sum() for out, weight in zip(outputs, weights, strict=True)).backward()
    return {name: p.grad for name, p in model.named_parameters()}


def global_random_states():
    return torch.get_rng_state().tolist(), random.getstate(), np.random.get_state()[1].tolist()


@pytest.mark.parametrize(
    ('arch', 'millions'),
    [('nano', 2.90), ('small', 6.72), ('tiny', 21.01), ('base', 62.29), ('base36', 83.58)],
)
def test_variants_have_their_size(arch, millions):
    with torch.device('meta'):
        model = RSIRTransformer(arch)
    assert sum(p.numel() for p in model.parameters()) / 1e6 == pytest.approx(millions, abs=0.005)
    for stage, depth, heads in zip(
        model.stages, ARCHS[arch]['depths'], ARCHS[arch]['num_heads'], strict=True
    ):
        kinds = [type(block.mixer) for block in stage.blocks]
        assert kinds == [RandomSamplingWindows, ImportantRegionWindows] * (depth // 2)
        assert {block.mixer.attn.num_heads for block in stage.blocks} == {heads}


@pytest.mark.parametrize('downsampling', ['overlap', 'linear'])
@pytest.mark.parametrize('importance', ['mean', 'cbam'])
@pytest.mark.parametrize('position', ['peg', None])
@pytest.mark.parametrize('size', [(1, 1), (1, 97), (2, 3), (31, 33), (32, 32), (97, 5), (64, 96)])
def test_any_size_gives_a_finite_pyramid(size, position, importance, downsampling):
    model = PyramidTransformer(
        SMALL, downsampling=downsampling, importance=importance, position=position
    )
    outputs = model.eval()(torch.randn(2, 3, *size))
    assert model.out_channels == tuple(out.shape[1] for out in outputs)
    for level, out in enumerate(outputs):
        stride = 4 * 2**level
        assert out.shape == (2, 8 * 2**level, ceil(size[0] / stride), ceil(size[1] / stride))
        assert out.isfinite().all()
        assert out.is_contiguous()


@pytest.mark.parametrize('importance', ['mean', 'cbam'])
@pytest.mark.parametrize(('dtype', 'tolerance'), [(torch.float64, 1e-12), (torch.float32, 1e-5)])
def test_a_sample_does_not_depend_on_its_batch_mates(importance, dtype, tolerance):
    model = build(importance=importance).eval().to(dtype)
    images = torch.randn(3, 3, 75, 90, dtype=dtype)
    together = model(images)
    for index in range(3):
        for out, alone in zip(together, model(images[index : index + 1]), strict=True):
            torch.testing.assert_close(out[index], alone[0], rtol=0, atol=tolerance)


def test_evaluation_repeats_exactly_and_leaves_the_random_state_alone():
    model = build().eval()
    image = torch.randn(2, 3, 64, 64)
    before = global_random_states()
    first = model(image)
    assert global_random_states() == before
    torch.manual_seed(99)
    for one, other in zip(first, model(image), strict=True):
        assert torch.equal(one, other)


def test_fixed_windows_follow_the_seed():
    image = torch.randn(1, 3, 128, 128)
    one, same, other = (build(seed=seed).eval()(image)[0] for seed in (2**31, 2**31, 1))
    assert torch.equal(one, same)
    assert not torch.allclose(one, other)


def test_blocks_of_a_stage_have_fixed_windows_of_their_own():
    model = RSIRTransformer(dict(SMALL, depths=(4, 2, 2, 2))).eval()
    first, second = (model.stages[0].blocks[index].mixer for index in (0, 2))
    orders = [mixer.arrange(torch.zeros(1, 100, 8), None, (10, 10)) for mixer in (first, second)]
    assert not torch.equal(orders[0].order_BL, orders[1].order_BL)


def test_random_evaluation_draws_anew_and_repeats_from_the_global_seed():
    model = build(eval_sampling='random').eval()
    image = torch.randn(1, 3, 128, 128)
    torch.manual_seed(5)
    first, second = model(image)[0], model(image)[0]
    torch.manual_seed(5)
    assert torch.equal(first, model(image)[0])
    assert not torch.allclose(first, second)


@pytest.mark.parametrize('with_cp', [False, True])
def test_training_repeats_from_the_global_seed(with_cp):
    model = build(with_cp=with_cp, drop_path_rate=0.5).train()
    image = torch.randn(2, 3, 128, 128)
    runs = []
    for seed in (3, 3, 4):
        torch.manual_seed(seed)
        runs.append(gradients(model, image))
    assert all(torch.equal(runs[0][name], runs[1][name]) for name in runs[0])
    assert not all(torch.allclose(runs[0][name], runs[2][name]) for name in runs[0])


@pytest.mark.parametrize('importance', ['mean', 'cbam'])
def test_checkpointing_leaves_gradients_bit_equal(importance):
    image = torch.randn(2, 3, 128, 128)
    runs = []
    for with_cp in (False, True):
        model = build(with_cp=with_cp, importance=importance, drop_path_rate=0.5).train()
        torch.manual_seed(3)
        runs.append(gradients(model, image))
    for name in runs[0]:
        assert torch.equal(runs[0][name], runs[1][name]), name


def test_bf16_gradients_stay_close():
    model = build(position=None, importance='cbam', drop_path_rate=0.0).train()
    image = torch.randn(1, 3, 24, 24)  # one window a stage: the order does not matter
    expected = gradients(model, image)
    with torch.autocast('cpu', dtype=torch.bfloat16):
        actual = gradients(model, image)
    flat = torch.cat([(actual[name] - expected[name]).flatten() for name in expected])
    reference = torch.cat([expected[name].flatten() for name in expected])
    assert flat.norm() / reference.norm() < 2e-2


@pytest.mark.parametrize('importance', ['mean', 'cbam'])
@pytest.mark.parametrize('out_indices', [(3,), (0, 2), (0, 1), (0, 1, 2, 3)])
def test_every_parameter_gets_a_gradient(out_indices, importance):
    model = build(out_indices=out_indices, importance=importance).train()
    outputs = model(torch.randn(2, 3, 64, 64))
    assert [out.shape[1] for out in outputs] == [8 * 2**index for index in out_indices]
    sum(out.square().sum() for out in outputs).backward()
    assert [name for name, p in model.named_parameters() if p.grad is None] == []


@pytest.mark.parametrize('frozen_stages', [-1, 0, 1, 3, 4])
def test_frozen_stages_counts_stages_besides_the_patch_embedding(frozen_stages):
    model = build(frozen_stages=frozen_stages)
    assert model.train() is model
    frozen = []
    if frozen_stages >= 0:
        frozen = ['patch_embed.']
    for stage in range(max(frozen_stages, 0)):
        frozen += [f'stages.{stage}.', f'norm{stage}.', f'merging.{stage - 1}.']
    for name, parameter in model.named_parameters():
        assert parameter.requires_grad != name.startswith(tuple(frozen)), name
    for name, module in model.named_modules():
        if name:
            assert module.training != f'{name}.'.startswith(tuple(frozen)), name


def test_frozen_stages_stay_frozen_when_training_goes_on():
    model = build(frozen_stages=2)
    model.eval().train()
    assert not model.stages[1].training
    assert model.stages[2].training


def test_norm_eval_keeps_norm_layers_in_evaluation_mode():
    norms = [m for m in build(norm_eval=True).train().modules() if isinstance(m, nn.LayerNorm)]
    assert len(norms) == 4 + 4 + 16
    assert not any(norm.training for norm in norms)
    assert build(norm_eval=False).train().norm0.training


def test_drop_path_grows_linearly_over_depth():
    model = build(drop_path_rate=0.7)
    blocks = [block for stage in model.stages for block in stage.blocks]
    rates = [block.drop_path.drop_prob for block in blocks]
    assert rates == pytest.approx([0.1 * index for index in range(8)])
    assert [block.ffn.dropout_layer.drop_prob for block in blocks] == rates


def test_a_block_whose_branches_are_dropped_leaves_its_tokens_alone():
    block = build().stages[0].blocks[0].train()
    block.drop_path.drop_prob = block.ffn.dropout_layer.drop_prob = 1 - 1e-9
    x = torch.randn(2, 30, 8)
    assert torch.equal(block(x, torch.arange(30).expand(2, -1), None, (5, 6), False), x)


def test_window_size_is_taken_per_stage():
    model = build(window_size=(14, 7, 3, 1))
    tokens = [stage.blocks[0].mixer.attn.window_tokens for stage in model.stages]
    assert tokens == [196, 49, 9, 1]


def test_pretrained_weights_are_taken_below_the_prefix(tmp_path):
    source = build()
    for parameter in source.parameters():
        nn.init.normal_(parameter)
    checkpoint = {f'backbone.{name}': value for name, value in source.state_dict().items()}
    torch.save({'state_dict': checkpoint, 'meta': {}}, tmp_path / 'detector.pth')
    target = build(
        init_cfg=dict(
            type='Pretrained', checkpoint=str(tmp_path / 'detector.pth'), prefix='backbone.'
        )
    )
    target.init_weights()
    for name, value in source.state_dict().items():
        assert torch.equal(target.state_dict()[name], value), name


def test_initialization_from_scratch():
    model = build()
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.fill_(9)
    model.init_weights()
    for module in model.modules():
        if isinstance(module, nn.Linear):
            assert module.weight.std().item() == pytest.approx(0.02, rel=0.3)
            assert module.bias.abs().max() == 0
        elif isinstance(module, nn.LayerNorm):
            assert (module.weight == 1).all()
    weight = model.stages[3].peg.conv.weight  # nine inputs an output, whatever the channels
    assert weight.std().item() == pytest.approx((2 / 9) ** 0.5, rel=0.15)
    assert not any((p == 9).any() for p in model.parameters())


@pytest.mark.parametrize(
    ('kwargs', 'error', 'message'),
    [
        (dict(arch='tinny'), ValueError, "arch='tinny' is unknown.*did you mean 'tiny'"),
        (dict(arch=7), TypeError, 'arch=7 must be a dict'),
        (dict(arch={**SMALL, 'depth': 3}), ValueError, "'depth' is unknown.*mean 'depths'"),
        (dict(arch=dict(embed_dims=8)), ValueError, 'lacks depths, num_heads'),
        (dict(arch={**SMALL, 'depths': (2, 2)}), ValueError, 'one entry for each stage'),
        (dict(arch={**SMALL, 'depths': (2, 2, 0, 2)}), ValueError, r'depths\[2\]=0 must be'),
        (dict(arch={**SMALL, 'num_heads': (3, 2, 2, 4)}), ValueError, '=3 does not divide'),
        (dict(window_size=0), ValueError, r'window_size\[0\]=0 must be at least 1'),
        (dict(window_size=(7, 7)), ValueError, 'one entry for each of 4 stages'),
        (dict(window_size=7.0), TypeError, 'window_size=7.0 must be a sequence of integers'),
        (dict(out_indices=(0, 4)), ValueError, r'out_indices\[1\]=4 must be from 0 to 3'),
        (dict(out_indices=()), ValueError, 'out_indices'),
        (dict(out_indices=(1, 1)), ValueError, 'each once'),
        (dict(out_indices=3), TypeError, 'out_indices=3 must be a sequence'),
        (dict(frozen_stages=5), ValueError, 'frozen_stages=5 must be from -1 to 4'),
        (dict(importance='cbma'), ValueError, "did you mean 'cbam'"),
        (dict(position='pge'), ValueError, "did you mean 'peg'"),
        (dict(eval_sampling='fix'), ValueError, "did you mean 'fixed'"),
        (dict(drop_path_rate='0.1'), TypeError, "drop_path_rate='0.1' must be a number"),
        (dict(drop_path_rate=1.0), ValueError, 'drop_path_rate=1.0 must be'),
        (dict(seed=-1), ValueError, 'seed=-1 must be at least 0'),
    ],
)
def test_bad_arguments_are_named(kwargs, error, message):
    with pytest.raises(error, match=message):
        RSIRTransformer(**{'arch': SMALL, **kwargs})


@pytest.mark.parametrize(
    ('kwargs', 'error', 'message'),
    [
        (dict(mixers=('rs', 'ri')), ValueError, "mixers='ri' is unknown.*allowed: 'rs', 'ir'"),
        (dict(mixers='rs'), TypeError, "mixers='rs' must be a sequence"),
        (dict(mixers=()), TypeError, 'must be a sequence of one or more'),
        (dict(downsampling='overlapp'), ValueError, "did you mean 'overlap'"),
    ],
)
def test_bad_skeleton_arguments_are_named(kwargs, error, message):
    with pytest.raises(error, match=message):
        PyramidTransformer(SMALL, **kwargs)


@pytest.mark.parametrize('shape', [(3, 32, 32), (1, 4, 32, 32), (1, 3, 0, 32), (0, 3, 8, 8)])
def test_bad_images_are_named(shape):
    with pytest.raises(ValueError, match=r'takes images of shape \(B, 3, H, W\)'):
        build()(torch.zeros(shape))


@pytest.mark.parametrize('batch_size', [1, 2])
@pytest.mark.parametrize('position', ['peg', None])
def test_convolutions_get_images_in_channels_last_layout(batch_size, position):
    """Strides of a single image that are not quite those cost a copy."""
    model = build(position=position).eval()
    inputs = []
    for module in model.modules():
        if isinstance(module, nn.Conv2d):
            module.register_forward_pre_hook(lambda _, args: inputs.append(args[0]))
    model(torch.randn(batch_size, 3, 64, 96))
    assert len(inputs) == 4 + 4 * (position == 'peg')
    for image in inputs:
        assert image.stride()[1:] == (1, image.shape[1] * image.shape[3], image.shape[1])
        assert image.stride(0) == image[0].numel()


def test_images_of_other_channels_are_taken_and_checked():
    model = RSIRTransformer('nano', in_channels=5, out_indices=(0,))
    assert model(torch.rand(1, 5, 16, 16))[0].shape == (1, 32, 4, 4)
    with pytest.raises(ValueError, match=r'takes images of shape \(B, 5, H, W\)'):
        model(torch.rand(1, 3, 16, 16))
