"""Models of timm as backbones, and the pooling behind those without a norm at their end."""

import subprocess
import sys
from math import ceil

import pytest
import timm
import torch
from mmengine.registry import MODELS, init_default_scope
from torch.nn import functional as F

from mmrsir.checkpoints.reading import CheckpointMismatchError
from mmrsir.models import NormedAveragePooling, TimmPyramid

# Small ones of RegNetY, of MaxViT (with windows of 2 x 2), and of those that round sizes down.
MODELS_OF_TIMM = {
    'regnety_002': {},
    'maxvit_pico_rw_256': dict(img_size=64, depths=(1, 1, 1, 1)),
    'convnext_atto': {},
}
MAXVIT = 'maxvit_pico_rw_256'


@pytest.fixture(params=MODELS_OF_TIMM)
def name(request):
    return request.param


def build(name, **settings):
    torch.manual_seed(0)
    return TimmPyramid(name, **MODELS_OF_TIMM[name], **settings)


@pytest.mark.parametrize('size', [(96, 160), (65, 33), (97, 130), (1, 7)])
def test_shapes_at_any_size(name, size):
    model = build(name).eval()
    with torch.inference_mode():
        levels = model(torch.randn(2, 3, *size))
    assert [tuple(level.shape) for level in levels] == [
        (2, channels, ceil(size[0] / stride), ceil(size[1] / stride))
        for channels, stride in zip(model.out_channels, (4, 8, 16, 32), strict=True)
    ]


@pytest.mark.parametrize('name', ['regnety_002', 'maxvit_pico_rw_256', 'maxvit_tiny_tf_224'])
def test_equals_timm_at_the_size_of_the_model(name):
    settings = MODELS_OF_TIMM.get(name, dict(depths=(1, 1, 1, 1)))
    side = settings.get('img_size', 224)
    model = TimmPyramid(name, **settings).eval()
    plain = timm.create_model(name, features_only=True, **settings).eval()
    plain.load_state_dict(model.network.state_dict())
    image = torch.randn(1, 3, side, side)
    with torch.inference_mode():
        levels, expected = model(image), plain(image)[-4:]
    for level, one in zip(levels, expected, strict=True):
        torch.testing.assert_close(level, one, rtol=0, atol=0)


def test_images_are_filled_up_with_zeros_to_whole_windows():
    model = build(MAXVIT).eval()
    image = torch.randn(1, 3, 70, 33)
    with torch.inference_mode():
        levels = model(image)
        expected = model(F.pad(image, (0, 64 - 33, 0, 128 - 70)))
    for level, whole in zip(levels, expected, strict=True):
        assert torch.equal(level, whole[..., : level.shape[2], : level.shape[3]])


def test_windows_do_not_grow_with_the_image():
    model = build(MAXVIT)
    sides = {one.partition_size for one in model.modules() if hasattr(one, 'partition_size')}
    assert sides == {(2, 2)} and model.divisor == 64
    assert TimmPyramid('maxvit_tiny_tf_224', depths=(1, 1, 1, 1)).divisor == 224


@pytest.mark.parametrize('out_indices', [(3,), (0, 1, 2, 3), (1, 0), (2,)])
def test_every_parameter_gets_a_gradient(name, out_indices):
    model = build(name, out_indices=out_indices).train()
    levels = model(torch.randn(2, 3, 65, 80))
    assert [level.shape[1] for level in levels] == list(model.out_channels)
    heights = [17, 9, 5, 3]
    assert [level.shape[2] for level in levels] == [heights[i] for i in sorted(out_indices)]
    sum(level.square().mean() for level in levels).backward()
    for key, parameter in model.named_parameters():
        assert parameter.grad is not None, key


def test_arguments_reach_the_model():
    modules = build(MAXVIT, drop_path_rate=0.5).modules()
    assert max(getattr(one, 'drop_prob', None) or 0 for one in modules) > 0.25
    with pytest.raises(TypeError, match='drop_paths'):
        build(MAXVIT, drop_paths=0.5)


@pytest.mark.parametrize('scope', ['mmdet', 'mmseg', 'mmpretrain'])
def test_builds_through_every_scope(scope):
    init_default_scope(scope)
    model = MODELS.build(dict(type='TimmPyramid', model_name='regnety_002'))
    pooling = MODELS.build(dict(type='NormedAveragePooling', channels=8))
    assert isinstance(model, TimmPyramid) and isinstance(pooling, NormedAveragePooling)


def test_pretrained_weights_are_those_of_a_classifier(tmp_path):
    path = str(tmp_path / 'classifier.pth')
    weights = build('regnety_002').state_dict()
    torch.save({f'backbone.{key}': value + 1 for key, value in weights.items()}, path)
    model = TimmPyramid('regnety_002', init_cfg=dict(type='Pretrained', checkpoint=path))
    model.init_weights()
    for key, value in model.state_dict().items():
        assert key.endswith('num_batches_tracked') or torch.equal(value, weights[key] + 1), key
    other = TimmPyramid('regnety_004', init_cfg=dict(type='Pretrained', checkpoint=path))
    with pytest.raises(CheckpointMismatchError, match=r'at least min_matched=90\.0%'):
        other.init_weights()


def test_files_that_timm_publishes_are_loaded(name, tmp_path):
    path = str(tmp_path / 'timm.pth')
    torch.manual_seed(1)
    published = timm.create_model(name, **MODELS_OF_TIMM[name])
    torch.save(published.state_dict(), path)
    model = build(name, init_cfg=dict(type='Pretrained', checkpoint=path, min_matched=1.0))
    model.init_weights()
    image = torch.randn(1, 3, 64, 64)
    with torch.inference_mode():
        levels = model.eval()(image)
        published.eval()
        features = published.forward_intermediates(image, intermediates_only=True)[-4:]
    for level, feature in zip(levels, features, strict=True):
        torch.testing.assert_close(level, feature)


def test_a_file_of_another_model_of_timm_is_refused(tmp_path):
    path = str(tmp_path / 'timm.pth')
    torch.save(timm.create_model('regnety_004').state_dict(), path)
    model = build('regnety_002', init_cfg=dict(type='Pretrained', checkpoint=path))
    with pytest.raises(CheckpointMismatchError, match=r'mismatched: s1\.b1'):
        model.init_weights()


def test_weights_are_those_of_timm_without_a_checkpoint(name):
    model = build(name, init_cfg=dict(type='Pretrained', checkpoint=None))
    before = {key: value.clone() for key, value in model.state_dict().items()}
    model.init_weights()
    assert all(torch.equal(before[key], value) for key, value in model.state_dict().items())


@pytest.mark.parametrize(
    ('settings', 'error', 'message'),
    [
        (dict(model_name='maxvit_tiny_tf_22'), ValueError, "mean 'maxvit_tiny_tf_224'"),
        (dict(model_name='swin_tiny_patch4_window7_224'), ValueError, 'not give NCHW maps'),
        (dict(model_name='mambaout_femto'), ValueError, 'not give NCHW maps'),
        (dict(model_name='coatnet_pico_rw_224'), ValueError, 'images of any size'),
        (dict(model_name='regnety_002', output_stride=8), ValueError, 'strides 4, 8, 16, 32'),
        (dict(model_name='regnety_002', out_indices=(0, 4)), ValueError, r'out_indices\[1\]=4'),
        (dict(model_name='regnety_002', out_indices=(1, 1)), ValueError, 'each once'),
        (dict(model_name='regnety_002', out_indices=()), ValueError, 'each once'),
        (dict(model_name='regnety_002', out_indices=3), TypeError, 'sequence of integers'),
        (dict(model_name='regnety_002', pretrained=True), TypeError, 'Name a weight file of timm'),
    ],
)
def test_wrong_arguments_are_named(settings, error, message):
    with pytest.raises(error, match=message):
        TimmPyramid(**settings)


@pytest.mark.parametrize('shape', [(3, 64, 64), (1, 1, 64, 64), (1, 3, 0, 64)])
def test_wrong_shapes_are_named(shape):
    with pytest.raises(ValueError, match=rf'TimmPyramid takes images .* got \({shape[0]}, '):
        build('regnety_002')(torch.zeros(shape))


@pytest.mark.slow
def test_timm_is_needed_to_build_only():
    code = """
import sys
for name in ('timm', 'mmdet', 'mmseg', 'mmpretrain'):
    sys.modules[name] = None  # importing it raises ImportError
from mmrsir.models import TimmPyramid
try:
    TimmPyramid('regnety_002')
except ImportError as error:
    print(error)
"""
    done = subprocess.run([sys.executable, '-c', code], capture_output=True, text=True)
    assert done.stdout.strip() == 'TimmPyramid needs timm: pip install timm', done.stderr


def test_pooling_normalizes_the_average_of_the_last_map():
    maps = [torch.randn(2, 4, 6, 6), torch.randn(2, 8, 3, 5)]
    (pooled,) = NormedAveragePooling(8)(maps)
    expected = F.layer_norm(F.adaptive_avg_pool2d(maps[-1], 1).flatten(1), (8,))
    torch.testing.assert_close(pooled, expected)
