"""The ONNX file of a whole detector finds what the detector finds."""

import json

import mmcv
import numpy as np
import onnx
import onnx_ir as ir
import onnxruntime
import pytest
import torch
from mmengine.registry import MODELS, init_default_scope
from onnxscript import GraphBuilder

from mmrsir.apis import Predictor
from mmrsir.deployment import precision, whole_detector
from mmrsir.deployment.comparison import Detections, compare_detections, compare_objects
from mmrsir.deployment.detector import Detector
from mmrsir.deployment.export import describe
from mmrsir.deployment.parts import take_part
from mmrsir.deployment.pictures import prepare
from mmrsir.deployment.whole_detector import Preprocessing, preprocessing_of
from mmrsir.engine.config_files import read_file

from ..helpers.commands import ROOT

CONFIG = ROOT / 'configs/mask_rcnn/rsir_n_shapes.py'
SIZES = [(96, 128), (131, 77), (256, 256)]
OPSET = 20
SMALL = """
_base_ = '{base}'
model = dict(
    backbone=dict(
        _delete_=True,
        type='RSIRTransformer',
        arch=dict(embed_dims=16, depths=(2, 1, 1, 1), num_heads=(1, 2, 4, 8)),
    ),
    neck=dict(in_channels=[16, 32, 64, 128]),
    roi_head={head},
    test_cfg=dict(
        rpn=dict(nms_pre=60, max_per_img=40),
        rcnn=dict(score_thr=0.2, max_per_img=20, nms=dict(class_agnostic={agnostic})),
    ),
)
"""
HEADS = {'mask': 'dict()', 'faster': 'dict(mask_roi_extractor=None, mask_head=None)'}


def predictor_of(tmp_path, kind, agnostic=False):
    """Return a small detector with random weights, and objects of all classes."""
    path = tmp_path / 'small.py'
    path.write_text(SMALL.format(base=CONFIG, head=HEADS[kind], agnostic=agnostic))
    torch.manual_seed(0)
    predictor = Predictor(str(path), device='cpu')
    with torch.no_grad():  # scores and boxes that differ
        head = predictor.model.roi_head.bbox_head
        head.fc_cls.weight.mul_(40)
        head.fc_reg.weight.mul_(100)
        if kind == 'mask':  # else all points are as good as on the threshold
            predictor.model.roi_head.mask_head.conv_logits.weight.mul_(100)
    return predictor


def picture_of(size):
    return np.random.default_rng(size).integers(0, 256, (*size, 3), np.uint8)


def found_by_torch(predictor, picture):
    with torch.no_grad():
        (sample,) = predictor.model.test_step(predictor.preprocess(picture))
    return Detections.of_instances(sample.pred_instances)


@pytest.mark.parametrize(('kind', 'agnostic'), [('mask', False), ('mask', True), ('faster', False)])
def test_the_steps_of_the_export_find_what_predict_finds(tmp_path, kind, agnostic):
    predictor = predictor_of(tmp_path, kind, agnostic)
    part = take_part(predictor.model, 'mmdet')
    for size in SIZES[:2]:
        picture = picture_of(size)
        with torch.no_grad():
            boxes, labels, scores, *_ = part(**prepare(predictor, picture))
        expected = found_by_torch(predictor, picture)
        assert len(expected.boxes) > 5
        assert len(set(expected.labels)) > 1
        assert np.allclose(expected.boxes, boxes.numpy(), rtol=1e-6, atol=1e-5)
        assert np.array_equal(expected.labels, labels.numpy())
        assert np.array_equal(expected.scores, scores.numpy())


@pytest.mark.slow
@pytest.mark.parametrize('kind', HEADS)
def test_the_file_finds_what_predict_finds(tmp_path, kind):
    predictor = predictor_of(tmp_path, kind)
    part = take_part(predictor.model, 'mmdet')
    core, path = tmp_path / 'core.onnx', tmp_path / 'whole.onnx'
    whole_detector.export_core(part, core)
    preprocessing = preprocessing_of(predictor.cfg, predictor.model)
    about = describe(predictor, 'detector')
    whole_detector.wrap_core(core, path, part, preprocessing, about)
    onnx.checker.check_model(path)
    pictures = [picture_of(size) for size in SIZES]
    loaded = whole_detector.load_detector(path)
    compared = compare_objects(part, predictor, loaded, pictures)
    assert all(difference.number > 5 for difference, _ in compared)
    assert all(difference.is_small or excused for difference, excused in compared)
    small_ones = [difference for difference, _ in compared if difference.is_small]
    assert small_ones
    assert max(one.pixels for one in small_ones) < 0.01, small_ones

    session = onnxruntime.InferenceSession(path)
    assert session.get_inputs()[0].type == 'tensor(uint8)'
    names = [one.name for one in session.get_outputs()]
    assert names == ['boxes', 'labels', 'scores', *['masks'] * (kind == 'mask')]
    told = session.get_modelmeta().custom_metadata_map
    assert json.loads(told['classes']) == ['cross', 'disc', 'ring', 'triangle']

    for kind_of_numbers, closest in (('fp16', 0.9), ('int8', 0.5)):
        small = tmp_path / f'{kind_of_numbers}.onnx'
        feeds = [{key: one.numpy() for key, one in prepare(predictor, pictures[0]).items()}]
        precision.convert(core, small, kind_of_numbers, feeds)
        assert small.stat().st_size < 0.8 * core.stat().st_size
        whole_detector.wrap_core(small, small, part, preprocessing, about)
        found = whole_detector.load_detector(small)(pictures[0])
        assert len(found.boxes) > closest * len(found_by_torch(predictor, pictures[0]).boxes)


def test_no_object_is_no_error(tmp_path):
    predictor = predictor_of(tmp_path, 'mask')
    predictor.model.roi_head.test_cfg.score_thr = 2
    part = take_part(predictor.model, 'mmdet')
    with torch.no_grad():
        outputs = part(**prepare(predictor, picture_of((40, 30))))
    assert [tuple(one.shape) for one in outputs] == [(0, 4), (0,), (0,), (0, 28, 28)]


@pytest.mark.parametrize(
    ('change', 'message'),
    [
        ('roi_head.type=DoubleHeadRoIHead roi_head.reg_roi_scale_factor=1.3', 'roi_head is Double'),
        ('test_cfg.rcnn.nms.type=soft_nms', 'rcnn.nms='),
        ('roi_head.bbox_roi_extractor.roi_layer.pool_mode=max', 'pool_mode=max'),
    ],
)
def test_a_detector_of_other_steps_is_refused(change, message):
    cfg = read_file(CONFIG)
    cfg.merge_from_dict({f'model.{key}': value for key, value in map(parse, change.split())})
    init_default_scope('mmdet')
    model = MODELS.build(cfg.model)
    with pytest.raises(ValueError, match=message):
        Detector(model)


def parse(setting):
    key, value = setting.split('=')
    return key, float(value) if '.' in value else value


PREPROCESSINGS = {
    'both limits': Preprocessing((200, 120), True, True, (1, 2, 3), (4, 5, 6), 32, 0),
    'exact': Preprocessing((90, 70), False, False, (1, 2, 3), (4, 5, 6), 1, 7),
    'as it is': Preprocessing(None, True, True, (0, 0, 0), (1, 1, 1), 16, 0),
}


@pytest.mark.parametrize('size', [(37, 90), (300, 301), (1, 5)])
@pytest.mark.parametrize('name', PREPROCESSINGS)
def test_a_picture_becomes_the_image_that_mmdet_makes_of_it(name, size):
    preprocessing = PREPROCESSINGS[name]
    picture = picture_of(size)
    resized = picture
    if preprocessing.scale and preprocessing.keep_ratio:
        resized = mmcv.imrescale(picture, preprocessing.scale)
    elif preprocessing.scale:
        resized = mmcv.imresize(picture, preprocessing.scale)
    pixels = resized if preprocessing.is_rgb else resized[..., ::-1]
    mean, std = (np.array(one, np.float32) for one in (preprocessing.mean, preprocessing.std))
    normalized = (pixels.astype(np.float32) - mean) / std
    expected = mmcv.impad_to_multiple(normalized, preprocessing.divisor, preprocessing.pad_value)

    images, sides, scale, given = run(
        lambda op, image: whole_detector.preprocess(op, image, preprocessing), image=picture[None]
    )
    assert np.array_equal(images[0].transpose(1, 2, 0), expected)
    assert sides.tolist() == list(resized.shape[:2])
    assert given.tolist() == list(size)
    assert np.allclose(scale, sides / given, rtol=1e-6)


@pytest.mark.parametrize('number', [0, 5])
def test_masks_are_pasted_as_by_mmdet(number):
    from mmdet.models.roi_heads.mask_heads.fcn_mask_head import _do_paste_mask

    generator = np.random.default_rng(0)
    begin, sides = generator.uniform(0, 40, (2, number, 2)).astype(np.float32)
    boxes = np.concatenate([begin, begin + sides + 1], 1)  # some end outside the picture
    grids = generator.random((number, 28, 28), np.float32)
    (masks,) = run(
        lambda op, *values: [whole_detector.paste_masks(op, *values, side=28, threshold=0.5)],
        boxes=boxes,
        grids=grids,
        given=np.array([50, 60]),
    )
    assert masks.shape == (number, 50, 60)
    if number:
        grids, boxes = torch.from_numpy(grids)[:, None], torch.from_numpy(boxes)
        values, _ = _do_paste_mask(grids, boxes, 50, 60, skip_empty=False)
        clear = (values - 0.5).abs() > 1e-4
        assert np.array_equal(masks[clear], (values >= 0.5)[clear])
        assert 0.01 < masks.mean() < 0.5


def run(build, **feeds):
    """Build a graph of inputs of any size, and run it."""
    inputs = [
        ir.val(name, ir.DataType.from_numpy(feed.dtype), [None] * feed.ndim)
        for name, feed in feeds.items()
    ]
    graph = ir.Graph(inputs, [], nodes=[], opset_imports={'': OPSET}, name='graph')
    graph.outputs.extend(build(GraphBuilder(graph).op, *inputs))
    model = ir.to_proto(ir.Model(graph, ir_version=10))
    return onnxruntime.InferenceSession(model.SerializeToString()).run(None, feeds)


def test_a_test_pipeline_of_other_steps_is_refused(tmp_path):
    predictor = predictor_of(tmp_path, 'faster')
    predictor.cfg.test_dataloader.dataset.pipeline.insert(1, dict(type='Pad', size=(9, 9)))
    with pytest.raises(ValueError, match="'type': 'Pad'"):
        preprocessing_of(predictor.cfg, predictor.model)


def test_objects_without_a_partner_are_counted():
    boxes = np.array([[0, 0, 10, 10], [20, 20, 30, 30]], np.float32)
    one = Detections(boxes, np.array([0, 1]), np.array([0.9, 0.8]))
    assert compare_detections(one, one) == (2, 0, 0, 0, 0)
    assert compare_detections(one, one).is_small
    shifted = one._replace(boxes=boxes[::-1] + 1, labels=one.labels[::-1], scores=one.scores[::-1])
    assert compare_detections(one, shifted)[:4] == (2, 0, 1, 0)
    assert not compare_detections(one, shifted).is_small
    assert compare_detections(one, one._replace(labels=np.array([0, 0])))[:2] == (2, 2)
    flat = one._replace(boxes=boxes * [1, 1, 0, 1])
    assert compare_detections(flat, flat).is_small
    none = Detections(*(value[:0] for value in one[:3]))
    assert compare_detections(none, none).is_small
    assert compare_detections(one, none).alone == 2
