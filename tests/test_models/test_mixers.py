"""The token mixers of Table 7: by their definitions, beside public code, and in the backbone."""

from itertools import product
from math import ceil, prod
from typing import NamedTuple

import pytest
import torch
import torch.nn.functional as F
from torch import nn

from mmrsir.models import PyramidTransformer
from mmrsir.models.mixers import MIXERS
from mmrsir.models.mixers.spatially_separable import GlobalSubsampledAttention
from mmrsir.models.partition import Partition, attend
from mmrsir.models.stage import Stage
from mmrsir.models.windows import attend_in_parts

from ..helpers.mixers import CHANNELS, HEADS, WINDOW, build

RASTER = ['shifted_window', 'spatially_separable', 'axial', 'criss_cross', 'cross_shaped', 'grid']


class Case(NamedTuple):
    """All that differs between two mixers here."""

    name: str
    stage: int = 0
    index: int = 0  # of the block in its stage
    heads: int = HEADS


CASES = [
    *[Case(name, index=index) for name in ('shifted_window', 'axial', 'grid') for index in (0, 1)],
    Case('criss_cross'),
    Case('spatially_separable'),
    *[Case('spatially_separable', stage, index=1) for stage in range(4)],
    *[Case('cross_shaped', stage, heads=heads) for stage in range(3) for heads in (2, 3)],
]
GRIDS = [(14, 14), (8, 10), (5, 3), (1, 1)]
SMALL = dict(embed_dims=8, depths=(2, 2, 2, 2), num_heads=(2, 2, 2, 4))


def places(grid):
    return list(product(range(grid[0]), range(grid[1])))


def sees(case, grid, head, query, key):
    """Whether a query sees a key, by the definition of the mechanism."""
    name, stage, index, heads = case
    if name == 'axial':
        return query[index] == key[index]
    if name == 'criss_cross':
        return query[0] == key[0] or query[1] == key[1]
    if name == 'cross_shaped':
        side = 0 if head < heads // 2 else 1
        width = (1, 2, 7, 7)[stage]
        return query[side] // width == key[side] // width
    if name == 'spatially_separable' and index == 1:
        return True
    for side in (0, 1):
        if name == 'grid' and index == 1:
            step = ceil(grid[side] / WINDOW)
            same = query[side] % step == key[side] % step
        else:
            shifts = name == 'shifted_window' and index == 1 and grid[side] > WINDOW
            offset = WINDOW // 2 if shifts else 0
            same = (query[side] - offset) // WINDOW == (key[side] - offset) // WINDOW
        if not same:
            return False
    return True


def bias(case, grid, mixer, head, query, key):
    """What is added to the score of a query and a key for their relative position."""
    steps = (1, 1)
    if case.name == 'grid' and case.index == 1:
        steps = tuple(ceil(side / WINDOW) for side in grid)
    down, across = ((q - k) // step for q, k, step in zip(query, key, steps, strict=True))
    table = mixer.attn.relative_position_bias_table.view(2 * WINDOW - 1, 2 * WINDOW - 1, -1)
    return table[down + WINDOW - 1, across + WINDOW - 1, head]


def lepe(case, mixer, head, query, keys, v_Cd, head_dim):
    """3x3 convolution of the values that a query sees, for the channels of a head."""
    across = case.heads // 2
    conv = (mixer.horizontal if head < across else mixer.vertical).lepe
    first = (head if head < across else head - across) * head_dim
    channels = slice(first, first + head_dim)
    total = conv.bias[channels].clone()
    for key in keys:
        down, across = key[0] - query[0], key[1] - query[1]
        if max(abs(down), abs(across)) <= 1:
            total = total + conv.weight[channels, 0, down + 1, across + 1] * v_Cd[key]
    return total


def squares(attn, x_HWC):
    """One token for each square of the grid, from the part of it that is inside."""
    ratio = attn.sr_ratio
    if ratio == 1:
        return x_HWC.flatten(0, 1)
    tokens = []
    for top, left in product(range(0, len(x_HWC), ratio), range(0, x_HWC.shape[1], ratio)):
        inside = x_HWC[top : top + ratio, left : left + ratio]
        kernel = attn.sr.weight[:, :, : inside.shape[0], : inside.shape[1]]
        token = torch.einsum('hwc,ochw->o', inside, kernel) + attn.sr.bias
        tokens.append(F.layer_norm(token, token.shape, attn.norm.weight, attn.norm.bias))
    return torch.stack(tokens)


def explicit(case, grid, mixer, x_LC):
    """The output of a mixer, one query and one head at a time."""
    attn = mixer.attn if hasattr(mixer, 'attn') else mixer
    head_dim = CHANNELS // case.heads
    subsamples = isinstance(attn, GlobalSubsampledAttention)
    if subsamples:
        q = F.linear(x_LC, attn.q.weight, attn.q.bias)
        tokens = squares(attn, x_LC.unflatten(0, grid))
        k, v = F.linear(tokens, attn.kv.weight, attn.kv.bias).chunk(2, dim=-1)
    else:
        q, k, v = F.linear(x_LC, attn.qkv.weight, attn.qkv.bias).chunk(3, dim=-1)
    out_LC = torch.empty_like(x_LC)
    for head in range(case.heads):
        channels = slice(head * head_dim, (head + 1) * head_dim)
        for number, query in enumerate(places(grid)):
            numbers = range(len(k))
            if not subsamples:
                keys = [key for key in places(grid) if sees(case, grid, head, query, key)]
                numbers = [row * grid[1] + column for row, column in keys]
            scores = k[numbers, channels] @ q[number, channels] / head_dim**0.5
            if case.name in ('shifted_window', 'grid'):
                scores = scores + torch.stack(
                    [bias(case, grid, mixer, head, query, key) for key in keys]
                )
            out = scores.softmax(0) @ v[numbers, channels]
            if case.name == 'cross_shaped':
                values = dict(zip(keys, v[numbers, channels], strict=True))
                out = out + lepe(case, mixer, head, query, keys, values, head_dim)
            out_LC[number, channels] = out
    return F.linear(out_LC, attn.proj.weight, attn.proj.bias)


@pytest.mark.parametrize('grid', GRIDS)
@pytest.mark.parametrize('case', CASES, ids=str)
def test_each_head_depends_on_the_tokens_it_may_see_and_on_no_other(case, grid):
    mixer = build(*case).double()
    proj = mixer.attn.proj if hasattr(mixer, 'attn') else mixer.proj
    with torch.no_grad():  # so that a head has its channels of the output to itself
        proj.weight.copy_(torch.eye(CHANNELS))
    x = torch.randn(1, grid[0] * grid[1], CHANNELS, dtype=torch.float64, requires_grad=True)
    out_LhD = mixer(x, grid)[0].unflatten(-1, (case.heads, -1))
    for head in range(case.heads):
        for number, query in enumerate(places(grid)):
            target = out_LhD[number, head].square().sum()
            (gradient,) = torch.autograd.grad(target, x, retain_graph=True)
            actual = (gradient[0].abs().amax(-1) > 0).tolist()
            assert actual == [sees(case, grid, head, query, key) for key in places(grid)]


@pytest.mark.parametrize('grid', GRIDS)
@pytest.mark.parametrize('case', CASES, ids=str)
def test_output_equals_the_explicit_one(case, grid):
    mixer = build(*case).double()
    x = torch.randn(2, grid[0] * grid[1], CHANNELS, dtype=torch.float64)
    with torch.no_grad():
        expected = torch.stack([explicit(case, grid, mixer, sample) for sample in x])
        torch.testing.assert_close(mixer(x, grid), expected, rtol=0, atol=1e-12)
    # Gradients may be asked for, and then other kernels do the work.
    torch.testing.assert_close(mixer(x, grid).detach(), expected, rtol=0, atol=1e-12)


@pytest.mark.parametrize('grid', [(4, 6), (5, 7), (1, 1), (3, 9)])
@pytest.mark.parametrize('window', [(2, 2), (1, 3), (4, 1)])
@pytest.mark.parametrize('dilated', [False, True])
@pytest.mark.parametrize('shift', [(0, 0), (1, 0), (0, 2)])
def test_a_partition_has_each_token_once_and_joins_what_it_split(grid, window, dilated, shift):
    shift = tuple(min(step, side - 1) for step, side in zip(shift, window, strict=True))
    partition = Partition(grid, window, shift, dilated)
    numbers = torch.arange(1, grid[0] * grid[1] + 1).view(1, -1, 1)
    groups = partition.split(numbers)
    assert groups.shape == (1, prod(partition.counts), prod(window), 1)
    assert sorted(groups[groups > 0].tolist()) == numbers.flatten().tolist()
    assert torch.equal(partition.join(groups), numbers)


def test_a_partition_is_as_documented():
    tokens = torch.arange(8).view(1, 8, 1)
    for kwargs, expected in [
        (dict(), [[0, 1, 4, 5], [2, 3, 6, 7]]),
        (dict(dilated=True), [[0, 2, 4, 6], [1, 3, 5, 7]]),
        (dict(shift=(0, 1)), [[1, 2, 5, 6], [3, 0, 7, 4]]),
    ]:
        partition = Partition((2, 4), (2, 2), **kwargs)
        assert partition.split(tokens)[0, :, :, 0].tolist() == expected
    visible = partition.visible(torch.device('cpu'))
    assert visible[0].all()
    assert visible[1, 0].tolist() == [[(q % 2) == (k % 2) for k in range(4)] for q in range(4)]


@pytest.mark.parametrize('name', ['shifted_window', 'spatially_separable', 'grid'])
@pytest.mark.parametrize('grid', [(3, 5), (1, 1), (4, 9)])
def test_attention_computes_no_rows_and_columns_beyond_the_grid(monkeypatch, name, grid):
    mixer = build(name)
    monkeypatch.setattr(mixer.attn, 'forward', lambda x, partition: partition)
    rows, columns = mixer(None, grid).window
    assert (rows, columns) == (min(WINDOW, grid[0]), min(WINDOW, grid[1]))


def test_no_mask_without_padding_and_shift():
    """Masks keep the fastest kernels away."""
    assert Partition((14, 21), (7, 7)).visible(torch.device('cpu')) is None
    assert Partition((14, 21), (7, 7), dilated=True).visible(torch.device('cpu')) is None
    assert Partition((14, 20), (7, 7)).visible(torch.device('cpu')) is not None


@pytest.mark.parametrize('with_mask', [False, True])
def test_attention_in_parts_equals_that_in_one(with_mask, monkeypatch):
    q, k, v = torch.randn(3, 2, 5, 2, 4, 3)
    mask = torch.randn(5, 2, 4, 4) if with_mask else None
    whole = attend(q, k, v, mask)
    monkeypatch.setattr('mmrsir.models.windows.MAX_PROBLEMS', 6)
    monkeypatch.setattr('mmrsir.models.partition.fused_attention', attend_in_parts)
    torch.testing.assert_close(attend(q, k, v, mask), whole, rtol=0, atol=1e-6)


def swin_weights(swin):
    """The weights of timm's Swin by our names, and in the order of mmcv's merging."""
    renamed = {}
    for name, value in swin.state_dict().items():
        if name.startswith('head.'):
            continue
        for old, new in [
            ('patch_embed.proj.', 'patch_embed.projection.'),
            ('layers.', 'stages.'),
            ('.attn.', '.mixer.attn.'),
            ('.mlp.fc1.', '.ffn.layers.0.0.'),
            ('.mlp.fc2.', '.ffn.layers.1.'),
        ]:
            name = name.replace(old, new)
        if name.startswith('norm.'):
            name = name.replace('norm.', 'norm3.')
        if '.downsample.' in name:
            _, stage, _, rest = name.split('.', 3)
            name = f'merging.{int(stage) - 1}.{rest}'
            # There (column, row, channel) of the four tokens, here (channel, row, column).
            sides = value.unflatten(-1, (2, 2, -1))
            value = sides.movedim((-3, -2, -1), (-1, -2, -3)).flatten(-3)
        renamed[name] = value
    return renamed


@pytest.mark.parametrize('window', [7, 14])
def test_shifted_window_in_the_shape_of_swin_t_equals_timms(window):
    from timm.models.swin_transformer import SwinTransformer

    torch.manual_seed(0)
    swin = SwinTransformer(
        embed_dim=96,
        depths=(2, 2, 2, 2),
        num_heads=(3, 6, 12, 24),
        num_classes=0,
        # timm makes a window smaller where the grid is, and its table with it.
        window_size=(window, window, window, 7),
    ).eval()
    with torch.no_grad():
        for name, parameter in swin.named_parameters():
            if 'bias' in name:
                parameter.normal_(std=0.5)
            elif 'qkv' in name:
                parameter.mul_(5)
    model = PyramidTransformer(
        dict(embed_dims=96, depths=(2, 2, 2, 2), num_heads=(3, 6, 12, 24)),
        mixers=['shifted_window'],
        downsampling='linear',
        position=None,
        window_size=(window, window, window, 7),
        out_indices=(3,),
    ).eval()
    model.load_state_dict(swin_weights(swin))
    image = torch.randn(1, 3, 224, 224)
    with torch.no_grad():
        expected = swin.forward_features(image).permute(0, 3, 1, 2)
        torch.testing.assert_close(model(image)[0], expected, rtol=0, atol=1e-5)


@pytest.mark.parametrize('grid', [(14, 21), (8, 10)])
def test_locally_grouped_attention_equals_mmpretrains(grid):
    from mmpretrain.models.backbones.twins import LocallyGroupedSelfAttention

    mixer = build('spatially_separable')
    public = LocallyGroupedSelfAttention(CHANNELS, HEADS, qkv_bias=True, window_size=WINDOW)
    public.load_state_dict(mixer.attn.state_dict())
    x = torch.randn(2, grid[0] * grid[1], CHANNELS)
    torch.testing.assert_close(mixer(x, grid), public(x, grid), rtol=0, atol=1e-5)


@pytest.mark.parametrize('stage', [0, 1, 2, 3])
def test_global_subsampled_attention_equals_mmpretrains(stage):
    from mmpretrain.models.backbones.twins import GlobalSubsampledAttention as Public

    mixer = build('spatially_separable', stage, index=1)
    public = Public(CHANNELS, HEADS, sr_ratio=(8, 4, 2, 1)[stage])
    public.load_state_dict(mixer.attn.state_dict())
    x = torch.randn(2, 16 * 24, CHANNELS)
    torch.testing.assert_close(mixer(x, (16, 24)), public(x, (16, 24)), rtol=0, atol=1e-5)


@pytest.mark.parametrize(('index', 'kind'), [(0, 'block'), (1, 'grid')])
def test_block_and_grid_attention_equal_timms(index, kind):
    from timm.models.maxxvit import MaxxVitTransformerCfg, PartitionAttentionCl

    mixer = build('grid', index=index)
    cfg = MaxxVitTransformerCfg(
        dim_head=CHANNELS // HEADS, head_first=False, window_size=(7, 7), grid_size=(7, 7)
    )
    public = PartitionAttentionCl(CHANNELS, kind, cfg)
    weights = {
        name.replace('relative_', 'rel_pos.relative_'): value
        for name, value in mixer.attn.state_dict().items()
    }
    public.attn.load_state_dict(weights)
    x = torch.randn(2, 14 * 21, CHANNELS)
    expected = public._partition_attn(x.unflatten(1, (14, 21))).flatten(1, 2)
    torch.testing.assert_close(mixer(x, (14, 21)), expected, rtol=0, atol=1e-5)


@pytest.mark.parametrize('grid', [(6, 9), (1, 5), (5, 1)])
def test_criss_cross_attention_equals_mmcvs(grid):
    """Theirs has one head, queries and keys of an eighth of the channels, and scales no scores."""
    from mmcv.ops import CrissCrossAttention

    torch.manual_seed(0)
    public = CrissCrossAttention(16)
    nn.init.ones_(public.gamma.scale)
    for conv in (public.query_conv, public.key_conv, public.value_conv):
        nn.init.normal_(conv.weight)
        nn.init.normal_(conv.bias)
    mixer = build('criss_cross', channels=16, heads=1)
    with torch.no_grad():
        for parameter in mixer.parameters():
            parameter.zero_()
        q, k, v = (
            (mixer.qkv.weight[start : start + 16], mixer.qkv.bias[start : start + 16])
            for start in (0, 16, 32)
        )
        for (weight, shift), conv, factor in [
            (q, public.query_conv, 4.0),
            (k, public.key_conv, 1.0),
            (v, public.value_conv, 1.0),
        ]:
            weight[: len(conv.weight)] = factor * conv.weight[:, :, 0, 0]
            shift[: len(conv.bias)] = factor * conv.bias
        mixer.proj.weight.copy_(torch.eye(16))
    mixer, public = mixer.double(), public.double()
    x = torch.randn(2, grid[0] * grid[1], 16, dtype=torch.float64)
    image = x.transpose(1, 2).unflatten(2, grid)
    expected = (public(image) - image).flatten(2).transpose(1, 2)
    torch.testing.assert_close(mixer(x, grid), expected, rtol=0, atol=1e-12)


def pyramid(name, **kwargs):
    torch.manual_seed(0)
    return PyramidTransformer(SMALL, mixers=[name], **kwargs)


def gradients(model, image):
    """Gradients of a weighted sum; a sum of squares would be constant, as outputs are normed."""
    model.zero_grad()
    outputs = model(image)
    generator = torch.Generator().manual_seed(0)
    weights = [torch.randn(out.shape, generator=generator) for out in outputs]
    sum((out * weight).sum() for out, weight in zip(outputs, weights, strict=True)).backward()
    return {name: p.grad for name, p in model.named_parameters()}


@pytest.mark.parametrize('name', MIXERS)
@pytest.mark.parametrize('size', [(1, 1), (1, 97), (31, 33), (97, 5), (64, 96)])
def test_any_size_gives_a_finite_pyramid(size, name):
    outputs = pyramid(name).eval()(torch.randn(2, 3, *size))
    for level, out in enumerate(outputs):
        stride = 4 * 2**level
        assert out.shape == (2, 8 * 2**level, ceil(size[0] / stride), ceil(size[1] / stride))
        assert out.isfinite().all()


@pytest.mark.parametrize('name', MIXERS)
def test_a_sample_does_not_depend_on_its_batch_mates(name):
    model = pyramid(name).eval().double()
    images = torch.randn(3, 3, 75, 90, dtype=torch.float64)
    with torch.no_grad():
        together = model(images)
        for index in range(3):
            for out, alone in zip(together, model(images[index : index + 1]), strict=True):
                torch.testing.assert_close(out[index], alone[0], rtol=0, atol=1e-11)


@pytest.mark.parametrize('name', MIXERS)
def test_checkpointing_leaves_gradients_bit_equal(name):
    image = torch.randn(2, 3, 68, 60)
    runs = []
    for with_cp in (False, True):
        model = pyramid(name, with_cp=with_cp, drop_path_rate=0.5).train()
        torch.manual_seed(3)
        runs.append(gradients(model, image))
    for parameter in runs[0]:
        assert torch.equal(runs[0][parameter], runs[1][parameter]), parameter


@pytest.mark.parametrize('name', MIXERS)
def test_every_parameter_has_an_effect(name):
    grads = gradients(pyramid(name).train(), torch.randn(2, 3, 68, 60))
    assert [parameter for parameter, grad in grads.items() if grad is None or not grad.any()] == []


@pytest.mark.parametrize('name', MIXERS)
def test_gradients_of_a_single_token_are_finite(name):
    grads = gradients(pyramid(name).train(), torch.randn(2, 3, 1, 1))
    assert all(grad is not None and grad.isfinite().all() for grad in grads.values())


@pytest.mark.parametrize('name', RASTER)
def test_bf16_gradients_stay_close(name):
    model = pyramid(name, drop_path_rate=0.0).train()
    image = torch.randn(1, 3, 68, 60)
    expected = gradients(model, image)
    with torch.autocast('cpu', dtype=torch.bfloat16):
        actual = gradients(model, image)
    flat = torch.cat([(actual[name] - expected[name]).flatten() for name in expected])
    reference = torch.cat([expected[name].flatten() for name in expected])
    assert flat.norm() / reference.norm() < 2e-2


@pytest.mark.parametrize('name', RASTER)
def test_tokens_return_to_raster_order_for_a_mixer_of_the_grid(name):
    mixers = [build('rs'), build(name, index=1), build('ir'), build(name, index=3)]
    stage = Stage(mixers, CHANNELS, [0.0] * 4, position=None, with_cp=False).eval()
    x = torch.randn(2, 9 * 16, CHANNELS)
    with torch.no_grad():
        actual = stage(x, (9, 16))
        for block in stage.blocks:
            alone = Stage([], CHANNELS, [], position=None, with_cp=False).eval()
            alone.blocks.append(block)
            x = alone(x, (9, 16))
    torch.testing.assert_close(actual, x, rtol=0, atol=1e-5)


def test_blocks_of_a_stage_alternate_and_stages_differ():
    model = PyramidTransformer(dict(SMALL, depths=(3, 1, 2, 1)), mixers=['shifted_window'])
    shifts = [[block.mixer.shift for block in stage.blocks] for stage in model.stages]
    assert shifts == [[0, 3, 0], [0], [0, 3], [0]]
    stages = pyramid('cross_shaped').stages
    assert [stage.blocks[0].mixer.stripe_width for stage in stages] == [1, 2, 7, 7]
    stages = pyramid('spatially_separable').stages
    assert [stage.blocks[1].mixer.attn.sr_ratio for stage in stages] == [8, 4, 2, 1]


def test_mixers_take_turns_over_the_blocks_of_a_stage():
    model = PyramidTransformer(dict(SMALL, depths=(3, 1, 2, 1)), mixers=['axial', 'grid'])
    kinds = [[type(block.mixer) for block in stage.blocks] for stage in model.stages]
    axial, grid = MIXERS['axial'], MIXERS['grid']
    assert kinds == [[axial, grid, axial], [axial], [axial, grid], [axial]]


@pytest.mark.parametrize('name', MIXERS)
def test_initialization_reaches_every_parameter(name):
    model = pyramid(name)
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.fill_(9)
    model.init_weights()
    assert not any((parameter == 9).any() for parameter in model.parameters())
    for parameter_name, parameter in model.named_parameters():
        if parameter_name.endswith('relative_position_bias_table'):
            assert parameter.std().item() == pytest.approx(0.02, rel=0.15)
        elif parameter_name.endswith('lepe.weight'):
            assert parameter.abs().max() <= 1 / 3
            assert parameter.std().item() == pytest.approx(1 / 27**0.5, rel=0.3)
        elif parameter_name.endswith('qkv.weight'):
            assert parameter.std().item() == pytest.approx(0.02, rel=0.2)


@pytest.mark.parametrize('name', MIXERS)
def test_all_parameters_of_a_mixer_are_of_its_block(name):
    model = pyramid(name)
    for parameter, _ in model.named_parameters():
        if '.mixer.' in parameter:
            _, stage, _, block, *_ = parameter.split('.')
            layer = 2 * int(stage) + int(block) + 1
            assert model.get_layer_depth(parameter) == (layer, 10)


def test_a_single_head_is_too_few_for_two_kinds_of_stripes():
    with pytest.raises(ValueError, match=r"num_heads\[1\]=1 must be at least 2 .*'cross_shaped'"):
        PyramidTransformer(
            dict(embed_dims=12, depths=(1, 1), num_heads=(3, 1)),
            mixers=['cross_shaped'],
            out_indices=(0, 1),
        )


def test_an_unknown_mixer_is_named():
    with pytest.raises(ValueError, match="mixers='shifted_windows' is.*did you mean 'shifted_w"):
        pyramid('shifted_windows')
