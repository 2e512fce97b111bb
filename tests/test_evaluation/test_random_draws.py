"""The mean of draws of random windows, and what lies between the draws."""

from copy import deepcopy
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from mmdet.structures import DetDataSample
from mmengine.structures import InstanceData, PixelData
from mmseg.structures import SegDataSample
from torch.testing import assert_close

from mmrsir.apis import Predictor
from mmrsir.engine import launch, scopes
from mmrsir.evaluation import RandomDraws

from ..helpers.commands import ROOT

FOLDERS = ('mask_rcnn', 'upernet', 'cls')
PICTURE = np.random.default_rng(0).integers(0, 255, (60, 90, 3), dtype=np.uint8)


def build(folder, eval_sampling):
    """A model with large weights, so that windows matter, and a batch for it."""
    torch.manual_seed(0)
    predictor = Predictor(f'{folder}/rsir_n_shapes', device='cpu')
    for stage in predictor.model.backbone.stages:
        for block in stage.blocks:
            torch.nn.init.normal_(block.mixer.attn.qkv.weight, std=0.5)
            if hasattr(block.mixer, 'eval_sampling'):
                block.mixer.eval_sampling = eval_sampling
    if folder == 'mask_rcnn':
        predictor.model.roi_head.test_cfg.score_thr = 0.0
        predictor.model.roi_head.test_cfg.max_per_img = 5
    return predictor.model, predictor.preprocess(PICTURE)


def tensors(sample):
    """What a test reports."""
    if 'pred_instances' in sample:
        found = sample.pred_instances
        return [found.bboxes, found.scores, found.labels, found.masks]
    if 'pred_sem_seg' in sample:
        return [sample.pred_sem_seg.data]
    return [sample.pred_score, sample.pred_label]


@pytest.mark.parametrize('folder', FOLDERS)
@torch.no_grad()
def test_one_draw_of_fixed_windows_is_a_plain_test(folder):
    model, batch = build(folder, 'fixed')
    (expected,) = model.test_step(deepcopy(batch))
    (sample,) = RandomDraws(model, num_draws=1).test_step(batch)
    for one, other in zip(tensors(sample), tensors(expected), strict=True):
        assert_close(one, other, rtol=0, atol=0)
    if 'uncertainty' in sample:
        assert not sample.uncertainty.data.any()


@pytest.mark.parametrize('folder', ['upernet', 'cls'])
@torch.no_grad()
def test_scores_are_the_mean_and_the_variance_of_the_draws(folder):
    model, batch = build(folder, 'random')
    torch.manual_seed(1)
    draws = [model.test_step(deepcopy(batch))[0] for _ in range(3)]
    torch.manual_seed(1)
    (sample,) = RandomDraws(model, num_draws=3).test_step(batch)
    if folder == 'cls':
        scores = torch.stack([draw.pred_score for draw in draws])
        mean, variance = sample.pred_score, sample.score_variance
    else:
        scores = torch.stack([draw.seg_logits.data.softmax(0) for draw in draws])
        mean, variance = sample.seg_logits.data, sample.uncertainty.data[0]
        assert torch.equal(sample.pred_sem_seg.data[0], scores.mean(0).argmax(0))
    expected = scores.var(0, correction=0)
    assert_close(mean, scores.mean(0), rtol=0, atol=1e-6)
    assert_close(variance, expected if folder == 'cls' else expected.sum(0), rtol=0, atol=1e-6)
    assert variance.max() > 0


class NeverRun(torch.nn.Module):
    """A model of which only the results are merged."""

    def test_step(self, data):
        raise NotImplementedError


def detections(*objects):
    """A draw's sample, of objects (x, score, label); boxes of 10 x 10 pixels, masks of the same."""
    masks = torch.zeros(len(objects), 20, 40, dtype=torch.bool)
    for mask, (left, _, _) in zip(masks, objects, strict=True):
        mask[:10, left : left + 10] = True
    found = InstanceData(
        bboxes=torch.tensor([[left, 0.0, left + 10, 10] for left, _, _ in objects]).reshape(-1, 4),
        scores=torch.tensor([score for _, score, _ in objects]),
        labels=torch.tensor([label for _, _, label in objects], dtype=torch.int64),
        masks=masks,
    )
    return DetDataSample(pred_instances=found)


def merge(*samples):
    return RandomDraws(NeverRun(), len(samples)).merge_preds([list(samples)])[0]


def test_an_object_has_the_mean_of_the_draws_that_find_it():
    merged = merge(
        detections((0, 0.9, 1), (20, 0.6, 0)),
        detections((2, 0.5, 1), (20, 0.4, 1)),
    )
    found = merged.pred_instances
    # Of class 1 at 0 and 2: one object. At 20 each class was found once: two objects.
    assert found.labels.tolist() == [1, 0, 1]
    assert_close(found.scores, torch.tensor([0.7, 0.3, 0.2]), rtol=0, atol=1e-6)
    assert_close(found.score_std, torch.tensor([0.2, 0.3, 0.2]), rtol=0, atol=1e-6)
    assert_close(found.bboxes[:, 0], torch.tensor([1.0, 20.0, 20.0]), rtol=0, atol=1e-5)
    # Half of two draws is not more than half.
    assert found.masks[0, 0].nonzero().flatten().tolist() == list(range(2, 10))
    # Pixel 0 is covered with 0.9 in one draw alone, pixel 5 with 0.9 and 0.5, pixel 39 never.
    uncertainty = merged.uncertainty.data[0, 0]
    assert_close(uncertainty[[0, 5, 39]], torch.tensor([0.45**2, 0.2**2, 0.0]), rtol=0, atol=1e-6)


def test_draws_without_objects_count():
    merged = merge(detections((0, 0.8, 0)), detections())
    assert_close(merged.pred_instances.scores, torch.tensor([0.4]), rtol=0, atol=1e-6)
    assert len(merge(detections(), detections()).pred_instances) == 0


def test_a_single_class_has_probabilities_already():
    samples = []
    for probability in (0.1, 0.4):
        sample = SegDataSample()
        sample.set_data(dict(seg_logits=PixelData(data=torch.full((1, 2, 3), probability))))
        samples.append(sample)
    model = NeverRun()
    model.decode_head = SimpleNamespace(threshold=0.3)
    merged = RandomDraws(model, 2).merge_preds([samples])[0]
    assert_close(merged.seg_logits.data, torch.full((1, 2, 3), 0.25), rtol=0, atol=1e-6)
    assert_close(merged.uncertainty.data, torch.full((1, 2, 3), 0.15**2), rtol=0, atol=1e-6)
    assert not merged.pred_sem_seg.data.any()


def test_boxes_without_an_area_are_left_out():
    sample = detections((0, 0.9, 1), (20, 0.6, 0))
    sample.pred_instances.bboxes[1, 2] = 20.0
    merged = merge(sample, detections((0, 0.9, 1))).pred_instances
    assert len(merged) == 1 and merged.bboxes.isfinite().all()


def test_no_draw_is_refused():
    with pytest.raises(ValueError, match='num_draws=0 must be at least 1'):
        RandomDraws(NeverRun(), num_draws=0)


@pytest.mark.parametrize('folder', FOLDERS)
def test_a_test_can_be_averaged_over_draws(folder):
    cfg = launch.read_config(str(ROOT / f'configs/{folder}/rsir_n_shapes.py'), None)
    scopes.enable_random_draws(cfg, 4)
    assert (cfg.model.type, cfg.model.num_draws) == ('RandomDraws', 4)
    assert cfg.model.module.backbone.eval_sampling == 'random'
