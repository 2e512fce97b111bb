"""The competition's metric on pictures that are counted by hand."""

import json

import numpy as np
import pytest
import torch
from pycocotools import mask as coco_mask

from mmrsir.evaluation.coco_truth import EvaluationError
from mmrsir.evaluation.dsb2018_metric import DSB2018Metric, object_precision, without_overlaps

SIZE = 20


def box(left, top, width, height):
    mask = np.zeros((SIZE, SIZE), np.uint8)
    mask[top : top + height, left : left + width] = 1
    return mask


def encode(mask):
    encoded = coco_mask.encode(np.asfortranarray(mask))
    return dict(size=encoded['size'], counts=encoded['counts'].decode())


@pytest.fixture
def ann_file(tmp_path):
    """Two images; the second has no object."""
    objects = [box(0, 0, 10, 10), box(10, 10, 10, 10)]
    annotations = [
        dict(id=i, image_id=7, category_id=1, segmentation=encode(mask))
        for i, mask in enumerate(objects, 1)
    ]
    path = tmp_path / 'truth.json'
    path.write_text(json.dumps(dict(images=[dict(id=7), dict(id=8)], annotations=annotations)))
    return str(path)


def predict(image, masks, scores):
    stack = np.stack(masks).astype(bool) if masks else np.zeros((0, SIZE, SIZE), bool)
    return dict(
        img_id=image,
        pred_instances=dict(masks=torch.from_numpy(stack), scores=torch.tensor(scores)),
    )


def evaluate(metric, *samples):
    metric.process(None, samples)
    return metric.evaluate(len(samples))


def test_score_is_what_is_counted_by_hand(ann_file):
    # IoU of the first is 80 / 100, of the second 60 / 100; the third meets nothing. So there are
    # 2 of 3 at 0.5 and 0.55, 1 of 4 from 0.6 to 0.75 (an IoU has to be larger), 0 of 5 from 0.8 on.
    masks = [box(0, 0, 10, 8), box(10, 10, 6, 10), box(12, 0, 4, 4)]
    figures = evaluate(DSB2018Metric(ann_file), predict(7, masks, [0.9, 0.8, 0.7]))
    assert figures['dsb2018/score'] == pytest.approx((2 * 2 / 3 + 4 * 1 / 4) / 10)
    assert figures['dsb2018/score_50'] == pytest.approx(2 / 3)
    assert figures['dsb2018/score_75'] == pytest.approx(1 / 4)


def test_score_is_the_mean_over_images(ann_file):
    whole = predict(7, [box(0, 0, 10, 10), box(10, 10, 10, 10)], [0.9, 0.9])
    assert evaluate(DSB2018Metric(ann_file), whole)['dsb2018/score'] == 1
    nothing_right, nothing_wrong = predict(8, [], []), predict(8, [box(0, 0, 3, 3)], [0.9])
    assert evaluate(DSB2018Metric(ann_file), whole, nothing_right)['dsb2018/score'] == 1
    assert evaluate(DSB2018Metric(ann_file), whole, nothing_wrong)['dsb2018/score'] == 0.5


def test_predictions_below_the_threshold_do_not_count(ann_file):
    masks, scores = [box(0, 0, 10, 10), box(10, 10, 10, 10), box(0, 15, 3, 3)], [0.9, 0.5, 0.49]
    assert evaluate(DSB2018Metric(ann_file), predict(7, masks, scores))['dsb2018/score'] == 1
    low = DSB2018Metric(ann_file, score_thr=0.3)
    assert evaluate(low, predict(7, masks, scores))['dsb2018/score'] == pytest.approx(2 / 3)


def test_a_shared_pixel_goes_to_the_higher_score(ann_file):
    masks = [box(5, 0, 10, 10), box(0, 0, 10, 10), box(10, 10, 10, 10), box(6, 0, 4, 4)]
    first = evaluate(DSB2018Metric(ann_file), predict(7, masks, [0.6, 0.9, 0.9, 0.8]))
    # The first keeps 50 pixels, which meet nothing; of the last nothing is left.
    assert first['dsb2018/score'] == pytest.approx(2 / 3)


def test_masks_without_overlap_stay_as_they_are():
    masks = [encode(box(0, 0, 5, 5)), encode(box(5, 5, 5, 5))]
    assert without_overlaps(masks) == masks


def test_an_object_counts_once():
    assert (object_precision(np.array([[0.99], [0.99]])) == 0.5).all()


def test_unknown_images_and_missing_masks_are_errors(ann_file):
    metric = DSB2018Metric(ann_file)
    with pytest.raises(EvaluationError, match='has no image with the id 9'):
        metric.process(None, [predict(9, [], [])])
    with pytest.raises(EvaluationError, match='predicts masks'):
        metric.process(None, [dict(img_id=7, pred_instances=dict(scores=torch.zeros(0)))])


def test_polygons_and_wrong_thresholds_are_refused(ann_file, tmp_path):
    content = json.loads((tmp_path / 'truth.json').read_text())
    content['annotations'][1]['segmentation'] = [[0, 0, 1, 0, 1, 1]]
    (tmp_path / 'truth.json').write_text(json.dumps(content))
    with pytest.raises(EvaluationError, match='annotation 2 is not a compressed run-length'):
        DSB2018Metric(ann_file)
    with pytest.raises(ValueError, match='score_thr=2 must be from 0 to 1'):
        DSB2018Metric(ann_file, score_thr=2)
