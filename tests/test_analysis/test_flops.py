"""The counted cost equals a closed form."""

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


@pytest.mark.parametrize(
    'config',
    [
        'configs/mask_rcnn/rsir_n_shapes.py',
        'configs/upernet/rsir_n_shapes.py',
        'configs/cls/rsir_n_shapes.py',
    ],
)
def test_whole_models_are_counted(config):
    cost = count_config(Config.fromfile(ROOT / config), 64, 96)
    backbone = RSIRTransformer('nano')
    assert cost.params >= sum(p.numel() for p in backbone.stages.parameters())
    assert cost.flops >= closed_form(ARCHS['nano'], 64, 96) * 0.99
