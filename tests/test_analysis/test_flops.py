"""The counted cost equals a closed form."""

from argparse import ArgumentTypeError
from contextlib import nullcontext
from copy import deepcopy
from math import ceil

import pytest
import torch
from mmengine.hub import get_config
from torch import nn
from torch.nn import functional as F

from mmrsir.analysis import flops
from mmrsir.analysis.flops import count_config, count_module
from mmrsir.engine.config_files import read_file
from mmrsir.models import ARCHS, RSIRTransformer, fixed_order
from tools.analysis_tools import get_flops

from ..helpers.commands import ROOT


def shapes_config(task):
    return read_file(ROOT / f'configs/{task}/rsir_n_shapes.py')


def stages(arch, height, width):
    """Depth, channels, tokens, and tokens of whole windows, of each stage."""
    for stage, depth in enumerate(arch['depths']):
        stride = 4 * 2**stage
        tokens = ceil(height / stride) * ceil(width / stride)
        window = min(49, tokens)
        yield depth, arch['embed_dims'] * 2**stage, tokens, ceil(tokens / window) * window


def backbone_flops(arch, height, width):
    """Multiply-adds of the backbone with PEG and the mean as importance."""
    total, channels_in, kernel = 0, 3, 7 * 7
    for depth, channels, tokens, filled in stages(arch, height, width):
        total += tokens * channels * channels_in * kernel  # patch embedding or merging
        total += tokens * channels * 9  # PEG
        block = filled * channels * channels * (3 + 1)  # qkv, projection
        block += tokens * channels * channels * (4 + 4)  # MLP
        block += 2 * filled * min(49, tokens) * channels  # scores, and weights times values
        total += depth * block
        channels_in, kernel = channels, 3 * 3
    return total


@pytest.mark.parametrize('arch', ['nano', 'tiny'])
@pytest.mark.parametrize('size', [(224, 224), (64, 100), (20, 30)])
def test_backbone_equals_closed_form(arch, size):
    model = RSIRTransformer(arch).eval()
    cost = count_module(model, torch.zeros(1, 3, *size))
    assert cost.flops == backbone_flops(ARCHS[arch], *size)
    assert cost.params == sum(p.numel() for p in model.parameters())


@pytest.mark.parametrize('size', [(224, 224), (20, 30), (64, 100)])
def test_sorts_and_moves_are_at_most_those_of_the_algorithm(size):
    fixed_order._cache.clear()  # what an earlier test drew is not drawn again
    cost = count_module(RSIRTransformer('nano').eval(), torch.zeros(1, 3, *size))
    sorted_elements = moved_elements = 0
    for depth, channels, tokens, filled in stages(ARCHS['nano'], *size):
        important = depth // 2  # every other block; random windows of evaluation need no sort
        sorted_elements += important * tokens
        moved_elements += depth * filled * channels  # to each block
        moved_elements += tokens * channels  # back at the end
        moved_elements += depth * filled  # order filled up to whole windows
        moved_elements += depth * tokens  # inverse of each order
        moved_elements += (depth - 1) * filled  # order composed with the inverse of the last
        moved_elements += important * tokens  # importance brought to raster order
    assert 0 < cost.sorted_elements <= sorted_elements
    assert 0 < cost.moved_elements <= moved_elements


def test_what_is_counted_does_not_depend_on_what_ran_before():
    model, image = RSIRTransformer('nano').eval(), torch.zeros(1, 3, 64, 100)
    fixed_order._cache.clear()
    assert count_module(model, image) == count_module(model, image)


@pytest.mark.parametrize('task', ['cls', 'mask_rcnn', 'upernet'])
def test_models_with_an_importance_of_cbam_are_counted(task):
    cfg = shapes_config(task)
    plain = count_config(cfg, 64, 96)
    cfg.model.backbone.importance = 'cbam'
    assert count_config(cfg, 64, 96).flops > plain.flops


@pytest.mark.parametrize(
    ('operation', 'sorted_elements', 'moved_elements'),
    [
        (lambda x, index: x.sort(-1), 60, 0),
        (lambda x, index: x.argsort(-1, descending=True), 60, 0),
        (lambda x, index: x.argsort(dim=-1, stable=True), 60, 0),
        (lambda x, index: x.gather(-1, index), 0, 24),
        (lambda x, index: x.index_select(-1, index[0, 0, 0]), 0, 24),
        (lambda x, index: x.scatter(-1, index, 1.0), 0, 24),
        (lambda x, index: x.clone().scatter_(-1, index, x), 0, 24),
    ],
)
@pytest.mark.parametrize('device', ['cpu', 'meta'])
def test_sorts_and_moves_are_no_multiply_adds(operation, sorted_elements, moved_elements, device):
    index = torch.zeros(1, 3, 4, 2, dtype=torch.int64, device=device)
    module = nn.Module()
    module.forward = lambda x: operation(x, index)
    cost = count_module(module, torch.zeros(1, 3, 4, 5, device=device))
    assert cost == (0, 0, sorted_elements, moved_elements)


class InPlace(nn.Module):
    """Attention of 4 heads of 8 channels in windows of 49 of 100 tokens, as on a GPU."""

    def forward(self, image):
        places = torch.zeros(2, 147, dtype=torch.int64, device='meta')
        return torch.ops.mmrsir.attend_indexed(image.new_zeros(2, 100, 96), places, 4, 49)


def test_both_products_of_indexed_attention_are_counted():
    pytest.importorskip('triton')
    cost = count_module(InPlace(), torch.zeros(2, 3, 7, 8, device='meta'))
    assert cost == (0, 2 * 2 * 147 * 49 * 32, 0, 0)


@pytest.mark.parametrize('device', ['cpu', 'meta'])
def test_both_products_of_attention_are_counted(device):
    module = nn.Module()
    module.forward = lambda q: F.scaled_dot_product_attention(q, q[:, :, :5], q[:, :, :5])
    cost = count_module(module, torch.zeros(2, 3, 7, 8, device=device))
    assert cost.flops == 2 * (2 * 3 * 7 * 5 * 8)


def test_whole_classifier_equals_closed_form():
    cost = count_config(shapes_config('cls'), 64, 96)
    unused_norms = 2 * (32 + 64 + 128)
    parameters = sum(p.numel() for p in RSIRTransformer('nano').parameters())
    assert cost.params == parameters - unused_norms + 256 * 4 + 4
    assert cost.flops == backbone_flops(ARCHS['nano'], 64, 96) + 256 * 4


def test_a_side_that_is_no_number_gets_the_order_of_the_arguments():
    assert get_flops.side('64') == 64
    for text in ('cls/rsir_n_shapes', '64x96', '0'):
        with pytest.raises(ArgumentTypeError, match='the config before --shape, and sides apart'):
            get_flops.side(text)


def test_dense_heads_are_counted():
    cost = count_config(shapes_config('upernet'), 64, 96)
    fusion = 16 * 24 * 9 * (4 * 64) * 64  # the head's 3x3 convolution over all levels
    assert cost.flops > backbone_flops(ARCHS['nano'], 64, 96) + fusion


def test_proposals_are_counted_and_the_config_is_left_alone():
    cfg = shapes_config('mask_rcnn')
    few = deepcopy(cfg)
    few.model.test_cfg.rpn.max_per_img = 150
    before = deepcopy(cfg.to_dict())
    difference = count_config(cfg, 128, 96).flops - count_config(few, 128, 96).flops
    # 200 proposals or 150; the mask head takes 100 of them at most.
    assert difference == 50 * (49 * 64 * 256 + 256 * 256 + 256 * (5 + 16))
    assert cfg.to_dict() == before


def test_products_need_not_be_computed(monkeypatch):
    torch.manual_seed(0)
    without = count_config(shapes_config('mask_rcnn'), 96, 128)
    monkeypatch.setattr(flops, '_ShapesOfProducts', nullcontext)
    assert count_config(shapes_config('mask_rcnn'), 96, 128).flops == without.flops


@pytest.mark.parametrize('task', ['cls', 'mask_rcnn', 'upernet'])
@pytest.mark.parametrize('size', [(1, 1), (33, 97)])
def test_any_image_size_is_counted(task, size):
    assert count_config(shapes_config(task), *size).flops > backbone_flops(ARCHS['nano'], *size)


@pytest.mark.parametrize(('size', 'published'), [('tiny', 4.5), ('base', 15.4)])
def test_swin_costs_what_its_authors_say(size, published):
    cfg = get_config(f'mmpretrain::swin_transformer/swin-{size}_16xb64_in1k.py')
    assert round(count_config(cfg, 224, 224).flops / 1e9, 1) == published
