"""Test-time augmentation with masks."""

import pytest
import torch
from mmdet.structures import DetDataSample
from mmengine.registry import MODELS, init_default_scope

from mmrsir.engine.config_files import read_file

from ..helpers.commands import ROOT

SIZE = (96, 128)


@pytest.fixture(scope='module')
def model():
    cfg = read_file(ROOT / 'configs/mask_rcnn/rsir_n_shapes.py')
    init_default_scope('mmdet')
    cfg.model.backbone.init_cfg = None
    cfg.model.test_cfg.rcnn.score_thr = 0.0
    cfg.model.test_cfg.rpn.max_per_img = 10  # few boxes, so that no two scores are nearly equal
    torch.manual_seed(0)
    tta = MODELS.build(dict(cfg.tta_model, module=cfg.model))
    tta.module.init_weights()
    with torch.no_grad():  # scores and masks that differ
        tta.module.roi_head.bbox_head.fc_cls.weight.normal_(std=0.5)
        tta.module.roi_head.mask_head.conv_logits.weight.normal_(std=0.5)
    return tta.eval()


def view(image, flip=False):
    """Return an image as a test pipeline packs it."""
    meta = dict(ori_shape=SIZE, img_shape=SIZE, scale_factor=(1.0, 1.0), img_id=0)
    meta.update(flip=flip, flip_direction='horizontal' if flip else None)
    inputs = image.flip(-1) if flip else image
    return dict(inputs=[inputs], data_samples=[DetDataSample(metainfo=meta)])


def batch(*views):
    return {key: [one[key] for one in views] for key in ('inputs', 'data_samples')}


@pytest.fixture(scope='module')
def image():
    return torch.randint(0, 256, (3, *SIZE), generator=torch.Generator().manual_seed(1)).byte()


def assert_same_detections(actual, expected):
    """Compare two sets of detections; nearly equal scores may come in any order."""
    assert len(actual) == len(expected) > 0
    far = (actual.bboxes[:, None] - expected.bboxes[None]).abs().amax(-1)
    far += 1000.0 * (actual.labels[:, None] != expected.labels[None])
    distance, partner = far.min(dim=1)
    assert distance.max() < 1e-2
    assert len(set(partner.tolist())) == len(expected)
    torch.testing.assert_close(actual.scores, expected.scores[partner], rtol=1e-4, atol=1e-5)
    assert expected.masks.any()
    assert (actual.masks != expected.masks[partner]).float().mean() < 1e-3


@torch.no_grad()
def test_one_view_equals_plain_testing(model, image):
    plain = model.module.test_step(view(image))[0].pred_instances
    assert_same_detections(model.test_step(batch(view(image)))[0].pred_instances, plain)


@torch.no_grad()
def test_flipped_views_mirror_the_result_of_a_mirrored_image(model, image):
    def detect(image):
        return model.test_step(batch(view(image), view(image, flip=True)))[0].pred_instances

    mirrored = detect(image.flip(-1))
    x1, y1, x2, y2 = mirrored.bboxes.unbind(1)
    mirrored.bboxes = torch.stack([SIZE[1] - x2, y1, SIZE[1] - x1, y2], dim=1)
    mirrored.masks = mirrored.masks.flip(-1)
    assert_same_detections(detect(image), mirrored)


@torch.no_grad()
def test_masks_are_averaged_over_views(model, image):
    """Masks of two views are no plain copy of those of one."""
    once = model.test_step(batch(view(image), view(image)))[0].pred_instances
    both = model.test_step(batch(view(image), view(image, flip=True)))[0].pred_instances
    alone = model.test_step(batch(view(image)))[0].pred_instances
    assert torch.equal(once.masks[0], alone.masks[0])
    same = (both.bboxes[:, None] - alone.bboxes[None]).abs().amax(-1) < 1e-3
    assert same.any()
    pairs = same.nonzero()
    assert any(not torch.equal(both.masks[i], alone.masks[j]) for i, j in pairs)


@torch.no_grad()
def test_an_image_without_detections_has_empty_masks(model, image):
    roi_head = model.module.roi_head
    threshold = roi_head.test_cfg.score_thr
    roi_head.test_cfg.score_thr = 1.0
    try:
        found = model.test_step(batch(view(image), view(image, flip=True)))[0].pred_instances
    finally:
        roi_head.test_cfg.score_thr = threshold
    assert found.masks.shape == (0, *SIZE)
