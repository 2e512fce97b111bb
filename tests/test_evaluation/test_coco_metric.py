"""COCO's AP is right whatever the ids are, and counts as many objects as it is asked to."""

import json
import logging
from copy import deepcopy

import numpy as np
import pytest
import torch
from mmdet.evaluation import CocoMetric
from mmengine.logging import MMLogger
from pycocotools import mask as rle

from mmrsir.evaluation import CheckedCocoMetric
from mmrsir.evaluation.coco_truth import EvaluationError

from ..helpers.configs import read

CLASSES = ('cross', 'disc', 'ring', 'triangle')
SIZE = 256


@pytest.fixture(scope='module')
def truth(shapes):
    """The validation shapes, with a crowd."""
    content = json.loads((shapes / 'coco/annotations/instances_val.json').read_text())
    content['annotations'][0]['iscrowd'] = 1
    return content


def predictions(content, per_image=3, seed=0):
    """Data samples with boxes and masks that are near the true ones, and with false ones."""
    rng = np.random.default_rng(seed)
    label_of = {one['id']: label for label, one in enumerate(content['categories'])}
    samples = []
    for image in content['images']:
        of_image = [one for one in content['annotations'] if one['image_id'] == image['id']]
        boxes, labels, scores, masks = [], [], [], []
        for _ in range(per_image):
            for one in of_image:
                x, y, w, h = np.array(one['bbox']) + rng.normal(0, 4, 4)
                boxes.append([x, y, x + max(w, 2), y + max(h, 2)])
                wrong = rng.random() < 0.2
                labels.append(int(rng.integers(4)) if wrong else label_of[one['category_id']])
                scores.append(round(rng.random(), 2))
                mask = np.zeros((SIZE, SIZE), bool)
                x1, y1, x2, y2 = np.clip(boxes[-1], 0, SIZE - 1).astype(int)
                mask[y1 : y2 + 1, x1 : x2 + 1] = True
                masks.append(mask)
        instances = dict(
            bboxes=torch.tensor(boxes, dtype=torch.float32).reshape(-1, 4),
            labels=torch.tensor(labels, dtype=torch.int64),
            scores=torch.tensor(scores, dtype=torch.float32),
            masks=torch.tensor(np.array(masks, bool).reshape(-1, SIZE, SIZE)),
        )
        samples.append(
            dict(
                img_id=image['id'],
                img_path=f'somewhere/{image["file_name"]}',
                ori_shape=(SIZE, SIZE),
                pred_instances=instances,
            )
        )
    return samples


def evaluate(kind, content, samples, tmp_path, metric=('bbox', 'segm'), **settings):
    path = tmp_path / 'truth.json'
    path.write_text(json.dumps(content))
    built = kind(str(path), metric=list(metric), **settings)
    built.dataset_meta = dict(classes=CLASSES)
    built.process({}, deepcopy(samples))
    return built.evaluate(len(samples))


@pytest.mark.parametrize(
    'settings',
    [
        {},
        dict(classwise=True),
        dict(metric=['proposal'], proposal_nums=(1, 2, 4)),
        dict(iou_thrs=np.array([0.5, 0.6]), metric_items=['mAP', 'mAP_50', 'mAP_75', 'mAP_l']),
    ],
    ids=['default', 'classes', 'proposals', 'items'],
)
def test_figures_are_those_of_mmdet(settings, truth, tmp_path):
    samples = predictions(truth)
    names = {'AR@1': 'AR@100', 'AR@2': 'AR@300', 'AR@4': 'AR@1000'}  # mmdet's for any number
    names |= {f'AR_{area}@4': f'AR_{area}@1000' for area in 'sml'}
    ours = evaluate(CheckedCocoMetric, truth, samples, tmp_path, **settings)
    theirs = evaluate(CocoMetric, truth, samples, tmp_path, **settings)
    renamed = {f'coco/{names.get(key[5:], key[5:])}': value for key, value in ours.items()}
    if settings.get('proposal_nums') is None:
        renamed = ours
    assert renamed == pytest.approx(theirs, abs=1e-9, nan_ok=True)
    assert any(0.1 < value < 0.9 for value in ours.values())


def test_images_need_no_names(truth, tmp_path):
    samples, bare = predictions(truth), deepcopy(truth)
    for image in bare['images']:
        del image['file_name']
    results = [evaluate(CheckedCocoMetric, one, samples, tmp_path) for one in (truth, bare)]
    assert results[0] == results[1]


def renumber(content, part, new):
    """Give the records of a part new ids."""
    ids = {one['id']: new(index) for index, one in enumerate(content[part])}
    for one in content[part]:
        one['id'] = ids[one['id']]
    field = {'images': 'image_id', 'categories': 'category_id'}.get(part)
    for one in content['annotations'] if field else ():
        one[field] = ids[one[field]]


IDS = {
    'from 0': lambda index: index,
    'text': lambda index: f'id-{index:03x}',
    'whole floats': lambda index: float(index),
    'negative': lambda index: -1 - index,
    'beyond 64 bits': lambda index: 2**70 + index,
    'of several kinds': lambda index: index if index % 2 else str(index),
    'falling': lambda index: 1000 - index,
}


@pytest.mark.parametrize('ids', IDS)
def test_ap_does_not_depend_on_ids(ids, truth, tmp_path):
    expected = evaluate(CheckedCocoMetric, truth, predictions(truth), tmp_path, classwise=True)
    changed = deepcopy(truth)
    for part in ('images', 'categories', 'annotations'):
        renumber(changed, part, IDS[ids])
    found = evaluate(CheckedCocoMetric, changed, predictions(changed), tmp_path, classwise=True)
    assert found == expected


@pytest.mark.parametrize('field', ['iscrowd', 'area'])
def test_ap_needs_no_optional_field(field, truth, tmp_path):
    changed = deepcopy(truth)
    for one in changed['annotations']:
        one.update(iscrowd=0, area=one['bbox'][2] * one['bbox'][3])
    expected = evaluate(CheckedCocoMetric, changed, predictions(truth), tmp_path)
    for one in changed['annotations']:
        del one[field]
    assert evaluate(CheckedCocoMetric, changed, predictions(truth), tmp_path) == expected


def test_masks_may_be_polygons_or_run_lengths(truth, tmp_path):
    samples = predictions(truth)
    expected = evaluate(CheckedCocoMetric, truth, samples, tmp_path)
    changed = deepcopy(truth)
    for index, one in enumerate(changed['annotations']):
        if isinstance(one['segmentation'], list):
            packed = rle.merge(rle.frPyObjects(one['segmentation'], SIZE, SIZE))
            flat = rle.decode(packed).ravel(order='F')
            edges = np.flatnonzero(np.diff(flat)) + 1
            lengths = np.diff([0, *edges, flat.size]).tolist()
            counts = [0, *lengths] if flat[0] else lengths
            packed['counts'] = packed['counts'].decode() if index % 2 else counts
            one['segmentation'] = packed
    assert evaluate(CheckedCocoMetric, changed, samples, tmp_path) == expected


@pytest.fixture
def crowded():
    """An image of 150 objects, and predictions that are perfect."""
    boxes = [[8 * (i % 16), 8 * (i // 16), 6, 6] for i in range(150)]
    annotations = [
        dict(id=i, image_id=1, category_id=1, bbox=box, area=36, iscrowd=0)
        for i, box in enumerate(boxes)
    ]
    image = dict(id=1, file_name='a.png', width=SIZE, height=SIZE)
    content = dict(images=[image], categories=[dict(id=1, name='disc')], annotations=annotations)
    corners = torch.tensor([[x, y, x + w, y + h] for x, y, w, h in boxes], dtype=torch.float32)
    instances = dict(
        bboxes=corners,
        labels=torch.zeros(150, dtype=torch.int64),
        scores=torch.linspace(1, 0.5, 150),
    )
    sample = dict(img_id=1, img_path='a.png', ori_shape=(SIZE, SIZE), pred_instances=instances)
    return content, [sample]


@pytest.mark.parametrize(
    ('settings', 'ap', 'others'),
    [
        ({}, 0.663, 1.0),  # 100 of 150 count in mAP, as in mmdet
        (dict(max_dets=100), 0.663, 0.663),
        (dict(max_dets=500), 1.0, 1.0),
        (dict(proposal_nums=(500, 500, 500)), 1.0, 1.0),  # mmdet gives -1
        (dict(proposal_nums=(1, 10, 100)), 0.663, 0.663),
    ],
)
def test_headline_counts_as_many_detections_as_it_is_asked_to(
    settings, ap, others, crowded, tmp_path
):
    found = evaluate(CheckedCocoMetric, *crowded, tmp_path, metric=['bbox'], **settings)
    assert found['coco/bbox_mAP'] == pytest.approx(ap, abs=0.002)
    assert found['coco/bbox_mAP_50'] == pytest.approx(others, abs=0.002)


@pytest.fixture
def warnings(monkeypatch):
    """What is warned of."""
    found = []
    logger = MMLogger.get_current_instance()
    monkeypatch.setattr(
        logger,
        'log',
        lambda level, message: found.append(message) if level == logging.WARNING else None,
    )
    return found


def test_objects_that_cannot_count_are_warned_of(crowded, tmp_path, warnings):
    evaluate(CheckedCocoMetric, *crowded, tmp_path, metric=['bbox'])
    (message,) = (one for one in warnings if 'max_dets' in one)
    assert 'counts 100 detections' in message and '1 of the 1 images' in message
    assert 'to 150 or more' in message


def test_classes_without_an_object_are_named(truth, tmp_path, warnings):
    changed = deepcopy(truth)
    number = changed['categories'][1]['id']
    changed['annotations'] = [one for one in changed['annotations'] if one['category_id'] != number]
    evaluate(CheckedCocoMetric, changed, predictions(truth), tmp_path)
    assert any('no object: disc' in message for message in warnings)


@pytest.mark.parametrize(
    ('changes', 'message'),
    [
        (dict(segmentation=dict(size=[9, 9], counts='ok3')), r'cannot be read: size=\[9, 9\] must'),
        (dict(bbox=None, area=None), "have no 'bbox'"),
        (dict(image_id=[1]), r'image_id=\[1\]'),
    ],
)
def test_truth_that_cannot_be_evaluated_is_named_before_the_training(
    changes, message, truth, tmp_path
):
    content = deepcopy(truth)
    content['annotations'][0].update(changes)
    with pytest.raises(EvaluationError, match=rf'truth.json: .*{message}'):
        evaluate(CheckedCocoMetric, content, predictions(truth), tmp_path)


def test_masks_are_not_evaluated_where_objects_have_none(truth, tmp_path):
    changed = deepcopy(truth)
    del changed['annotations'][1]['segmentation']
    changed['annotations'][2]['segmentation'] = []
    with pytest.raises(EvaluationError, match=r"2 of the \d+ objects.*have no mask.*metric='bbox'"):
        evaluate(CheckedCocoMetric, changed, predictions(truth), tmp_path)
    found = evaluate(CheckedCocoMetric, changed, predictions(truth), tmp_path, metric=['bbox'])
    assert 0.1 < found['coco/bbox_mAP'] < 0.9


@pytest.mark.parametrize('change', [dict(id=99), dict(file_name='other.jpg')])
def test_annotations_of_other_images_are_refused(change, truth, tmp_path):
    changed = deepcopy(truth)
    changed['images'][0].update(change)
    with pytest.raises(EvaluationError, match='ann_file must be that of its data set'):
        evaluate(CheckedCocoMetric, changed, predictions(truth), tmp_path)


def test_images_that_were_not_tested_do_not_count(truth, tmp_path, warnings):
    samples = predictions(truth)[:2]
    part = deepcopy(truth)
    part['images'] = part['images'][:2]
    expected = evaluate(CheckedCocoMetric, part, samples, tmp_path)
    warnings.clear()
    assert evaluate(CheckedCocoMetric, truth, samples, tmp_path) == expected
    assert any('2 of the 5 images' in message for message in warnings)


def test_nothing_found_is_an_ap_of_zero(truth, tmp_path):
    found = evaluate(CheckedCocoMetric, truth, predictions(truth, per_image=0), tmp_path)
    assert found['coco/bbox_mAP'] == found['coco/segm_mAP'] == 0


def test_predictions_are_written_with_the_ids_of_the_file(truth, tmp_path):
    changed = deepcopy(truth)
    for part in ('images', 'categories'):
        renumber(changed, part, IDS['text'])
    settings = dict(format_only=True, outfile_prefix=str(tmp_path / 'found'))
    assert evaluate(CheckedCocoMetric, changed, predictions(changed), tmp_path, **settings) == {}
    written = json.loads((tmp_path / 'found.segm.json').read_text())
    assert {one['image_id'] for one in written} <= {one['id'] for one in changed['images']}
    assert {one['category_id'] for one in written} <= {one['id'] for one in changed['categories']}


def test_ground_truth_may_come_with_the_samples(truth, tmp_path):
    samples = predictions(truth)
    label_of = {one['id']: label for label, one in enumerate(truth['categories'])}
    for sample in samples:
        sample['instances'] = [
            dict(
                bbox=[x, y, x + w, y + h],
                bbox_label=label_of[one['category_id']],
                ignore_flag=one['iscrowd'],
            )
            for one in truth['annotations']
            if one['image_id'] == sample['img_id']
            for x, y, w, h in [one['bbox']]
        ]
    metric = CheckedCocoMetric(metric='bbox')
    metric.dataset_meta = dict(classes=CLASSES)
    metric.process({}, samples)
    expected = evaluate(CheckedCocoMetric, truth, samples, tmp_path, metric=['bbox'])
    assert metric.evaluate(len(samples))['coco/bbox_mAP'] == expected['coco/bbox_mAP']


@pytest.mark.parametrize('name', ['rsir_n_shapes', 'rsir_t_1x_coco'])
def test_configs_use_it(name):
    cfg = read(f'configs/mask_rcnn/{name}.py')
    assert cfg.val_evaluator.type == cfg.test_evaluator.type == 'CheckedCocoMetric'
