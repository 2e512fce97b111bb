"""demo/onnx_demo.py shows what a file finds, with numpy, onnxruntime and Pillow alone."""

import importlib.util
import json
import subprocess
import sys

import numpy as np
import onnx
import pytest
from mmengine.registry import TRANSFORMS, init_default_scope
from PIL import Image

from mmrsir.deployment.export import LEFT_OUT
from mmrsir.engine.config_files import read_file

from ..helpers.commands import ROOT

DEMO = ROOT / 'demo/onnx_demo.py'
OTHERS = ('torch', 'mmengine', 'mmcv', 'cv2', 'mmrsir')
RUN = f"""
import runpy, sys
sys.argv = sys.argv[1:]
try:
    runpy.run_path(sys.argv[0], run_name='__main__')
finally:
    assert not set({OTHERS}) & set(sys.modules)
"""
# One file of each task, of a few operators.
GRAPHS = {
    'detector': """detector (uint8[1, height, width, 3] image) => (float[2, 4] boxes,
            int64[2] labels, float[2] scores, bool[2, height, width] masks)
        <float[2, 4] boxes = {1.0, 2.0, 11.0, 12.0, 0.0, 0.0, 5.0, 5.0}, int64[2] labels = {1, 0},
         float[2] scores = {0.9, 0.1}, int64 none = {0}, uint8 dark = {100}>
        {
            red = Gather<axis = 3>(image, none)
            mask = Less(red, dark)
            masks = Concat<axis = 0>(mask, mask)
        }""",
    'segmentor': """segmentor (float[1, 3, height, width] images)
            => (float[1, 3, height, width] logits)
        { logits = Identity(images) }""",
    'classifier': """classifier (float[1, 3, height, width] images) => (float[1, 3] scores)
        <int64[2] sides = {2, 3}>
        {
            means = ReduceMean<keepdims = 0>(images, sides)
            scores = Softmax(means)
        }""",
}
COMMON = dict(classes=['red', 'green', 'blue'], channels='RGB', steps=[])


@pytest.fixture(scope='module')
def demo():
    spec = importlib.util.spec_from_file_location('onnx_demo', DEMO)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def write_model(path, graph, task):
    parsed = onnx.parser.parse_graph(GRAPHS[graph])
    model = onnx.helper.make_model(parsed, opset_imports=[onnx.helper.make_opsetid('', 20)])
    model.ir_version = 10
    told = dict(COMMON, task=task)
    onnx.helper.set_model_props(model, {key: json.dumps(value) for key, value in told.items()})
    onnx.save(model, path)


def run(tmp_path, *arguments):
    command = [sys.executable, '-c', RUN, str(DEMO), *map(str, arguments)]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False)
    return done.returncode, done.stdout + done.stderr


@pytest.mark.parametrize(
    ('task', 'printed'),
    [
        ('detector', 'green 0.90  [1.0, 2.0, 11.0, 12.0]\n'),
        ('segmentor', 'green 75.0% of the pixels\nblue 25.0% of the pixels\n'),
        ('classifier', 'green 1.000\nred 0.000\nblue 0.000\n'),
    ],
)
def test_the_script_shows_a_file_of_each_task_without_torch(tmp_path, task, printed):
    write_model(tmp_path / 'model.onnx', task, task)
    pixels = np.full((20, 40, 3), (0, 250, 0), np.uint8)
    pixels[:, :10] = 0, 0, 250
    Image.fromarray(pixels).save(tmp_path / 'photo.png')
    code, output = run(tmp_path, 'model.onnx', 'photo.png')
    assert (code, output) == (0, f'{printed}wrote photo_model.png\n')
    drawn = np.asarray(Image.open(tmp_path / 'photo_model.png'))
    assert drawn.shape == pixels.shape
    assert (drawn != pixels).any()


def test_a_file_of_a_backbone_is_refused(tmp_path):
    write_model(tmp_path / 'model.onnx', 'classifier', 'backbone')
    Image.new('RGB', (4, 4)).save(tmp_path / 'photo.png')
    code, output = run(tmp_path, 'model.onnx', 'photo.png')
    assert code == 2
    assert 'task: backbone; known: detector, segmentor, classifier' in output


@pytest.mark.parametrize(
    ('config', 'level'),
    [
        ('cls/rsir_t_in1k', 0),  # Pillow's bicubic interpolation, and a crop
        ('cls/rsir_n_digits', 0),
        ('upernet/rsir_t_160k_ade20k_512x512', 1),  # OpenCV rounds more than once
        ('upernet/rsir_n_shapes', 1),
    ],
)
@pytest.mark.parametrize('size', [(83, 61), (300, 400)])
def test_pictures_are_read_as_in_tests(demo, config, level, size):
    cfg = read_file(ROOT / f'configs/{config}.py')
    init_default_scope(cfg.default_scope)
    steps = [
        dict(step)
        for step in cfg.test_dataloader.dataset.pipeline
        if not step['type'].startswith(LEFT_OUT)
    ]
    pixels = np.random.default_rng(0).integers(0, 256, (*size, 3), np.uint8)
    results = dict(img=pixels, img_shape=size, ori_shape=size)
    for step in steps:
        results = TRANSFORMS.build(step)(results)
    about = json.loads(json.dumps(dict(channels='BGR', mean=[1, 2, 3], steps=steps)))
    image = demo.prepare(Image.fromarray(pixels[..., ::-1]), about)
    assert image.dtype == np.float32
    expected = results['img'][None].transpose(0, 3, 1, 2) - np.array([1, 2, 3])[:, None, None]
    assert image.shape == expected.shape
    # The script turns RGB into the BGR that the model wants.
    assert np.abs(image - expected).max() <= level


def test_maps_are_enlarged_as_by_torch(demo):
    import torch

    values = np.random.default_rng(0).random((5, 7, 2), np.float32)
    planes = torch.from_numpy(values).permute(2, 0, 1)[None]
    expected = torch.nn.functional.interpolate(planes, (11, 9), mode='bilinear')[0]
    assert np.allclose(demo.resize(values, 11, 9), expected.permute(1, 2, 0), atol=1e-6)
