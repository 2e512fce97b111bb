"""The counted cost equals a closed form."""

from copy import deepcopy
from math import ceil

import pytest
import torch
from mmengine.config import Config

from mmrsir.analysis.flops import count_config, count_module
from mmrsir.models import ARCHS, RSIRTransformer

from ..test_engine.commands import ROOT

LAYER_NORM = 5  # operations an element, as mmengine counts a normalization with weight and bias


def closed_form(arch, height, width):
    """Multiply-adds of the backbone with all outputs, mean importance and PEG."""
    total, channels_in = 0, 3
    for stage, depth in enumerate(arch['depths']):
        stride = 4 * 2**stage
        channels = arch['embed_dims'] * 2**stage
        tokens = ceil(height / stride) * ceil(width / stride)
        kernel = 49 if stage == 0 else 9
        total += tokens * channels * channels_in * kernel  # patch embedding or merging
        total += tokens * channels * 9  # PEG
        keys = min(49, tokens)
        block = tokens * channels * channels * (3 + 1 + 4 + 4)  # qkv, projection, MLP
        block += 2 * tokens * keys * channels  # scores, and weights times values
        block += 2 * LAYER_NORM * tokens * channels
        total += depth * block
        total += 2 * LAYER_NORM * tokens * channels  # after the embedding, and at the output
        channels_in = channels
    return total


@pytest.mark.parametrize('arch', ['nano', 'tiny'])
@pytest.mark.parametrize('size', [(224, 224), (64, 100), (20, 30)])
def test_backbone_equals_closed_form(arch, size):
    model = RSIRTransformer(arch).eval()
    cost = count_module(model, torch.zeros(1, 3, *size))
    assert cost.flops == closed_form(ARCHS[arch], *size)
    assert cost.params == sum(p.numel() for p in model.parameters())


def test_whole_classifier_equals_closed_form():
    cost = count_config(Config.fromfile(ROOT / 'configs/cls/rsir_n_shapes.py'), 64, 96)
    unused_norms = 2 * (32 + 64 + 128)
    head = 256 * 4
    backbone = RSIRTransformer('nano')
    parameters = sum(p.numel() for p in backbone.parameters())
    assert cost.params == parameters - unused_norms + head + 4
    tokens = {32: 16 * 24, 64: 8 * 12, 128: 4 * 6}
    unused = sum(LAYER_NORM * channels * number for channels, number in tokens.items())
    pooling = 256 * 2 * 3
    assert cost.flops == closed_form(ARCHS['nano'], 64, 96) - unused + pooling + head


def test_dense_heads_are_counted():
    cost = count_config(Config.fromfile(ROOT / 'configs/upernet/rsir_n_shapes.py'), 64, 96)
    fusion = 16 * 24 * 9 * (4 * 64) * 64  # the head's 3x3 convolution over all levels
    assert cost.flops > closed_form(ARCHS['nano'], 64, 96) + fusion


def test_proposals_are_counted_and_the_config_is_left_alone():
    cfg = Config.fromfile(ROOT / 'configs/mask_rcnn/rsir_n_shapes.py')
    few = deepcopy(cfg)
    few.model.test_cfg.rpn.max_per_img = 150
    before = deepcopy(cfg.to_dict())
    difference = count_config(cfg, 128, 96).flops - count_config(few, 128, 96).flops
    # 200 proposals or 150; the mask head takes 100 of them at most.
    assert difference == 50 * (49 * 64 * 256 + 256 * 256 + 256 * (5 + 16))
    assert cfg.to_dict() == before
