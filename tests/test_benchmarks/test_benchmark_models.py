"""The models that can be timed, Algorithm 1 as written, and their layers alone."""

import pytest
import torch
from speed import floor, literal, runs, subjects
from speed.cases import PRECISIONS, Case
from speed.floor import record_layers, replay
from speed.literal import LiteralRSIR
from speed.subjects import build
from torch import nn
from torch.nn import functional as F

from mmrsir.analysis.flops import count_module
from mmrsir.models import ARCHS, RSIRTransformer, blocks
from mmrsir.models.linear import linear, product
from mmrsir.models.order import invert, random_order

from ..helpers.commands import ROOT

FORWARD = Case('forward', 64, 96, 1)
TRAINING = Case('training', 64, 96, 1)


def stages_of_nano(height, width):
    """Number of blocks, channels and tokens of each stage."""
    for stage, depth in enumerate(ARCHS['nano']['depths']):
        stride = 4 * 2**stage
        yield depth, 32 * 2**stage, (height // stride) * (width // stride)


class Replayed(nn.Module):
    """Runs recorded layers, so that their cost can be counted."""

    def __init__(self, layers):
        super().__init__()
        self.layers = layers

    def forward(self, image):
        for layer in self.layers:
            layer(torch.zeros_like(layer.input, device='cpu'))


@pytest.mark.parametrize('size', [(56, 56), (61, 50), (9, 17)])  # with and without partial windows
@pytest.mark.parametrize(('dtype', 'tolerance'), [(torch.float64, 1e-10), (torch.float32, 1e-5)])
def test_literal_equals_the_model(monkeypatch, size, dtype, tolerance):
    torch.manual_seed(0)
    model = RSIRTransformer('nano', drop_path_rate=0.0).to(dtype).train()
    image = torch.randn(2, 3, *size, dtype=dtype)

    def map_of_order(batch_size, num_tokens, device):
        # The map that Algorithm 1 would sort into the order that the model draws.
        return -invert(random_order(batch_size, num_tokens, device)).double()

    monkeypatch.setattr(literal, 'random_map', map_of_order)
    torch.manual_seed(1)
    expected = model(image)
    torch.manual_seed(1)
    outputs = LiteralRSIR(model)(image)
    for out, level in zip(outputs, expected, strict=True):
        torch.testing.assert_close(out, level, rtol=0, atol=tolerance)


def test_literal_sorts_twice_and_gathers_twice_a_block():
    cost = count_module(LiteralRSIR(RSIRTransformer('nano')).eval(), torch.zeros(1, 3, 64, 96))
    blocks = [(depth * tokens, channels) for depth, channels, tokens in stages_of_nano(64, 96)]
    assert cost.sorted_elements == sum(2 * tokens for tokens, _ in blocks)
    assert cost.moved_elements == sum(2 * tokens * channels for tokens, channels in blocks)


def test_literal_has_the_weights_of_rsir_tiny():
    ours, written = build('rsir_tiny', FORWARD).module, build('literal', FORWARD).module.model
    assert ours.state_dict().keys() == written.state_dict().keys()
    for name, value in ours.state_dict().items():
        assert torch.equal(value, written.state_dict()[name]), name


@pytest.mark.parametrize('wrap', [lambda model: model, LiteralRSIR], ids=['model', 'literal'])
def test_floor_has_all_multiply_adds_but_those_of_attention(monkeypatch, wrap):
    model = wrap(RSIRTransformer('nano')).eval()
    monkeypatch.setattr(blocks, 'CHUNK_ELEMENTS', 100_000)
    image = torch.zeros(1, 3, 224, 448)  # in chunks, and all windows are full
    with torch.inference_mode():
        layers = record_layers(lambda: model(image))
    depth = sum(ARCHS['nano']['depths'])
    assert len(layers) == 4 + 4 + 4 * depth  # embedding and merging, position, blocks
    attention = sum(
        2 * depth * tokens * 49 * channels for depth, channels, tokens in stages_of_nano(224, 448)
    )
    products = count_module(model, image).flops - attention
    assert count_module(Replayed(layers), image).flops == products


@pytest.mark.parametrize(
    ('call', 'function'), [(lambda layer, x: layer(x), F.linear), (linear, product)]
)
def test_linear_layer_called_on_parts_is_one_layer_with_all_rows(call, function):
    layer = nn.Linear(4, 5)
    x = torch.zeros(2, 6, 4)
    (whole,) = record_layers(lambda: call(layer, x))
    (parts,) = record_layers(lambda: [call(layer, part) for part in x.split([1, 2, 3], dim=1)])
    assert whole.input.shape == parts.input.shape == (12, 4)
    assert whole.function == parts.function == function


def test_parts_take_a_gradient_if_one_of_them_does():
    called = nn.Linear(4, 5)
    parts = [torch.zeros(1, 4, requires_grad=wanted) for wanted in (False, True, False)]
    (layer,) = record_layers(lambda: [called(part) for part in parts])
    assert layer.input.requires_grad


def test_layers_that_are_no_modules_are_recorded():
    weight, kernel = torch.zeros(5, 4), torch.zeros(3, 2, 2, 2)
    layers = record_layers(
        lambda: (
            F.linear(torch.zeros(2, 4), weight=weight),
            F.conv_transpose2d(torch.zeros(1, 3, 8, 8), kernel, stride=2),
        )
    )
    assert [layer.function for layer in layers] == [F.linear, F.conv_transpose2d]
    assert layers[1](torch.zeros(1, 3, 8, 8)).shape == (1, 2, 16, 16)


def test_convolution_is_replayed_in_the_layout_of_its_input():
    conv = nn.Conv2d(3, 4, 3)
    image = torch.zeros(2, 3, 8, 8).to(memory_format=torch.channels_last)
    (layer,) = record_layers(lambda: conv(image))
    assert layer.input.stride() == image.stride()


@pytest.mark.parametrize('frozen', [False, True])
def test_replay_trains_what_the_model_trains(monkeypatch, frozen):
    model = nn.Sequential(nn.Conv2d(3, 4, 4, stride=4), nn.Flatten(2), nn.Linear(4, 5))
    model[0].requires_grad_(not frozen)
    asked = []
    monkeypatch.setattr(
        floor.torch.autograd, 'grad', lambda out, wanted, gradient: asked.append(wanted)
    )
    case = Case('training', 8, 8, 2)
    replay(record_layers(lambda: model(torch.zeros(2, 3, 8, 8))), case)()
    shapes = [[tuple(one.shape) for one in wanted] for wanted in asked]
    conv = [] if frozen else [[(4, 3, 4, 4), (4,)]]  # the image takes no gradient
    rows = [] if frozen else [(8, 4)]
    assert shapes == [*conv, [(5, 4), (5,), *rows]]


def test_replay_leaves_no_gradient_behind():
    subject = build('rsir_nano', TRAINING)
    layers = record_layers(lambda: subject.forward(subject.module))
    replay(layers, TRAINING)()
    assert all(parameter.grad is None for parameter in subject.module.parameters())


@pytest.mark.parametrize('precision', PRECISIONS)
def test_weights_and_maps_have_the_precision(precision):
    case = Case('forward', 32, 32, 1, precision)
    subject = build('rsir_nano', case)
    assert {one.dtype for one in subject.module.parameters()} == {case.dtype}
    with torch.inference_mode(), case.autocast():
        product = F.linear(subject.arguments[0], subject.arguments[0].new_ones(32, 32))
        assert all(level.isfinite().all() for level in subject.forward(subject.module))
    assert product.dtype == (PRECISIONS[precision][1] or case.dtype)


@pytest.mark.parametrize(
    ('name', 'channels'),
    [
        ('rsir_nano', (32, 64, 128, 256)),
        ('literal', (64, 128, 256, 512)),
        ('timm:swin_tiny_patch4_window7_224', (96, 192, 384, 768)),
        ('timm:maxvit_tiny_tf_224', (64, 128, 256, 512)),
        ('timm:convnext_tiny', (96, 192, 384, 768)),
        ('swin:nano', (32, 64, 128, 256)),
        ('mmdet:SwinTransformer', (96, 192, 384, 768)),
    ],
)
def test_backbones_give_four_maps_at_any_size(name, channels):
    subject = build(name, FORWARD)
    with torch.inference_mode():
        maps = subject.forward(subject.module)
    strides = (4, 8, 16, 32)
    for one, width, stride in zip(maps, channels, strides, strict=True):
        height = (64 // stride, 96 // stride)
        # timm's Swin Transformer has its channels last.
        assert one.shape[1:] in ((width, *height), (*height, width))


def test_mmdet_swin_is_swin_t():
    subject = build('mmdet:SwinTransformer', FORWARD)
    number = sum(parameter.numel() for parameter in subject.module.parameters())
    assert round(number / 1e6, 1) == 27.5
    assert subject.module.num_features == [96, 192, 384, 768]


@pytest.mark.parametrize(
    ('side', 'partition'), [(7, 7), (32, 8), (25, 5), (40, 8), (42, 7), (56, 7), (2, 2), (0, 7)]
)
def test_partition_of_maxvit_stays_near_its_own(side, partition):
    assert subjects._nearest_divisor(side) == partition


def test_windows_of_maxvit_do_not_grow_with_the_image():
    modules = build('timm:maxvit_tiny_tf_224', Case('forward', 512, 448, 1)).module.modules()
    assert {one.partition_size for one in modules if hasattr(one, 'partition_size')} == {(8, 7)}


@pytest.mark.parametrize(
    ('task', 'step'),
    [
        ('cls', 'training'),
        ('mask_rcnn', 'forward'),
        ('upernet', 'forward'),
        pytest.param('mask_rcnn', 'training', marks=pytest.mark.slow),
        pytest.param('upernet', 'training', marks=pytest.mark.slow),
    ],
)
def test_whole_models_of_all_libraries_run(task, step):
    name = f'config:{ROOT}/configs/{task}/rsir_n_shapes.py'
    (row,) = runs.run_case(Case(step, 64, 96, 2), [name], ('eager',), 1, 1)
    assert row.failure is None


def test_whole_detector_has_its_heads():
    subject = build(f'config:{ROOT}/configs/mask_rcnn/rsir_n_shapes.py', FORWARD)
    layers = record_layers(lambda: runs.forward(subject, subject.module, FORWARD))
    assert F.conv_transpose2d in [layer.function for layer in layers]  # of the mask head


def test_synchronized_normalization_is_replaced():
    name = f'config:{ROOT}/configs/upernet/rsir_t_160k_ade20k_512x512.py'
    modules = build(name, FORWARD).module.modules()
    assert not any(isinstance(one, nn.SyncBatchNorm) for one in modules)


def test_models_of_the_libraries_need_no_download(monkeypatch):
    def refuse(*args, **kwargs):
        raise AssertionError('a download')

    monkeypatch.setattr(torch.hub, 'load_state_dict_from_url', refuse)
    monkeypatch.setattr('mmengine.runner.checkpoint.load_url', refuse)
    subject = build('config:mmdet::swin/mask-rcnn_swin-t-p4-w7_fpn_1x_coco.py', FORWARD)
    assert type(subject.module.backbone).__name__ == 'SwinTransformer'
    assert subject.arguments[0].shape == (1, 3, 64, 96)
