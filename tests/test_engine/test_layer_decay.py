"""Learning rates and weight decay of parameters, in models of each library."""

import pytest
import torch
from mmengine.model.utils import revert_sync_batchnorm
from mmengine.optim import build_optim_wrapper
from mmengine.registry import MODELS, init_default_scope
from torch import nn

from mmrsir.models import PyramidTransformer, RSIRTransformer

from ..helpers.configs import SHAPES, read


def build(model, lr=1.0, **paramwise):
    return build_optim_wrapper(
        model,
        dict(
            constructor='LayerDecayOptimWrapperConstructor',
            optimizer=dict(type='AdamW', lr=lr, weight_decay=0.5),
            paramwise_cfg=paramwise,
        ),
    ).optimizer


def settings(optimizer, model):
    """Learning rate and weight decay of each parameter by name."""
    names = {id(parameter): name for name, parameter in model.named_parameters()}
    return {
        names[id(parameter)]: (group['lr'], group['weight_decay'])
        for group in optimizer.param_groups
        for parameter in group['params']
    }


@pytest.mark.parametrize('path', SHAPES.values())
def test_each_block_learns_slower_than_the_next_by_the_rate(path):
    cfg = read(path)
    init_default_scope(cfg.default_scope)
    with torch.device('meta'):
        model = revert_sync_batchnorm(MODELS.build(cfg.model))
    rates = settings(build(model, layer_decay_rate=0.5, norm_decay_mult=0.0), model)
    assert len(rates) == len(list(model.parameters()))
    blocks = [2, 2, 4, 2]
    number = 0
    for stage, depth in enumerate(blocks):
        for block in range(depth):
            number += 1
            expected = 0.5 ** (sum(blocks) + 1 - number)
            name = f'backbone.stages.{stage}.blocks.{block}'
            assert rates[f'{name}.mixer.attn.qkv.weight'] == (expected, 0.5)
            assert rates[f'{name}.norm1.weight'] == (expected, 0)
            if block == 0:
                assert rates[f'backbone.stages.{stage}.peg.conv.weight'][0] == expected
                if stage > 0:
                    merging = f'backbone.merging.{stage - 1}.projection.weight'
                    assert rates[merging][0] == expected
    assert rates['backbone.patch_embed.projection.weight'][0] == 0.5**11
    outside = {
        rate
        for name, (rate, _) in rates.items()
        if not name.startswith('backbone.') or '.norm3' in name
    }
    assert outside == {1.0}


def small_model():
    model = nn.Module()
    model.backbone = RSIRTransformer(
        dict(embed_dims=8, depths=(1,), num_heads=(1,)), out_indices=(0,)
    )
    model.head = nn.Linear(8, 2)
    return model


def test_factors_of_custom_keys_multiply_with_the_decay():
    model = small_model()
    keys = {'backbone': dict(lr_mult=0.1, decay_mult=2.0)}
    rates = settings(build(model, layer_decay_rate=0.5, custom_keys=keys), model)
    assert rates['backbone.patch_embed.projection.weight'] == pytest.approx((0.1 * 0.25, 1.0))
    assert rates['head.weight'] == (1.0, 0.5)


def test_rules_of_mmengine_hold_without_layer_decay():
    model = small_model()
    rates = settings(
        build(model, norm_decay_mult=0.0, bias_decay_mult=0.0, flat_decay_mult=0.0), model
    )
    for name, parameter in model.named_parameters():
        assert rates[name] == (1.0, 0.0 if parameter.ndim == 1 else 0.5), name


@pytest.mark.parametrize(
    ('keys', 'expected'),
    [({}, (1.0, 0.0)), ({'backbone': dict(lr_mult=0.1, decay_mult=2.0)}, (0.1, 1.0))],
)
def test_what_a_module_exempts_does_not_decay_unless_a_pattern_matches_it(keys, expected):
    model = nn.Module()
    model.backbone = PyramidTransformer(
        dict(embed_dims=8, depths=(1,), num_heads=(1,)),
        mixers=['shifted_window'],
        out_indices=(0,),
    )
    rates = settings(build(model, custom_keys=keys), model)
    attn = 'backbone.stages.0.blocks.0.mixer.attn.'
    assert rates[f'{attn}relative_position_bias_table'] == expected
    assert rates[f'{attn}qkv.weight'][1] > 0


def test_parameters_with_equal_settings_share_a_group():
    model = small_model()
    assert len(build(model).param_groups) == 1
    assert len(build(model, norm_decay_mult=0.0).param_groups) == 2


def build_without_settings(model, optimizer, **paramwise):
    return build_optim_wrapper(
        model,
        dict(
            constructor='LayerDecayOptimWrapperConstructor',
            optimizer=dict(type=optimizer),
            paramwise_cfg=paramwise,
        ),
    ).optimizer


@pytest.mark.parametrize('kind', ['AdamW', torch.optim.AdamW])
def test_without_a_learning_rate_the_default_of_the_optimizer_decays(kind):
    model = small_model()
    keys = {'backbone': dict(lr_mult=0.1)}
    optimizer = build_without_settings(model, kind, layer_decay_rate=0.5, custom_keys=keys)
    assert optimizer.defaults['lr'] == 1e-3
    rates = {
        name: group['lr']
        for group in optimizer.param_groups
        for name, parameter in model.named_parameters()
        if any(parameter is one for one in group['params'])
    }
    assert rates['backbone.patch_embed.projection.weight'] == pytest.approx(1e-4 * 0.25)
    assert rates['head.weight'] == 1e-3


def test_a_learning_rate_may_be_a_tensor():
    groups = [
        build(small_model(), lr, layer_decay_rate=0.5).param_groups
        for lr in (1.0, torch.tensor(1.0))
    ]
    of_number, of_tensor = ([float(group['lr']) for group in one] for one in groups)
    assert of_number == of_tensor


class NoDefault(torch.optim.SGD):
    def __init__(self, params, lr):
        super().__init__(params, lr)


def test_an_optimizer_without_a_learning_rate_is_named():
    with pytest.raises(ValueError, match=r'NoDefault.*set optim_wrapper\.optimizer\.lr'):
        build_without_settings(small_model(), NoDefault, layer_decay_rate=0.5)


def test_an_optimizer_without_weight_decay_is_named_where_a_rule_multiplies_it():
    with pytest.raises(ValueError, match=r'set optim_wrapper\.optimizer\.weight_decay'):
        build_without_settings(small_model(), 'SGD', norm_decay_mult=0.0)


@pytest.mark.parametrize('rate', [0, -0.5, 1.5])
def test_rate_out_of_range_is_refused(rate):
    with pytest.raises(ValueError, match='layer_decay_rate'):
        build(small_model(), layer_decay_rate=rate)


def test_model_without_layers_is_refused_unless_nothing_decays():
    model = nn.Linear(2, 2)
    with pytest.raises(ValueError, match='needs a backbone with get_layer_depth'):
        build(model, layer_decay_rate=0.9)
    assert len(build(model).param_groups) == 1
