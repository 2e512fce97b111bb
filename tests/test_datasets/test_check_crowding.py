"""Images with more objects than a model finds, or than AP counts, are named."""

import pytest

from mmrsir.datasets.check.configs import check_config

from ..helpers.checked_sets import InProcess
from ..helpers.small_sets import coco_record, config, write_coco

CATEGORIES = [(1, 'cross'), (2, 'disc')]


def crowded(tmp_path, **settings):
    """Faults of a data set of which one image for validation has 120 objects."""
    val = coco_record('val', CATEGORIES, [[1, 2], [1, 2] * 60])
    val['annotations'][2]['iscrowd'] = 1
    root = write_coco(tmp_path, train=coco_record('train', CATEGORIES, [[1, 2]] * 2), val=val)
    cfg = config('coco', root, classes=('cross', 'disc'))
    cfg.merge_from_dict(settings)
    reports = check_config(cfg, None, InProcess())
    return [one.detail for report in reports for one in report.faults if one.kind == 'many-objects']


MODEL = {
    'model.test_cfg.rcnn.max_per_img': 200,
    'tta_model.tta_cfg.max_per_img': 200,
}


def test_limits_below_the_number_of_objects_are_named(tmp_path):
    (detail,) = crowded(tmp_path)
    assert detail.startswith('1 of 2 images have more than 50 objects, up to 119.')
    assert detail.endswith(
        'Set to 119 or more: model.test_cfg.rcnn.max_per_img (now 50), '
        'tta_model.tta_cfg.max_per_img (now 100), val_evaluator.max_dets (now 100), '
        'test_evaluator.max_dets (now 100)'
    )


@pytest.mark.parametrize(
    ('setting', 'value', 'enough'),
    [
        ('max_dets', 119, True),
        ('max_dets', 118, False),
        ('proposal_nums', (500, 500, 500), True),
        ('proposal_nums', (100, 300, 500), False),
    ],
)
def test_limit_of_the_evaluator_is_the_one_that_counts(setting, value, enough, tmp_path):
    settings = {f'{split}_evaluator.{setting}': value for split in ('val', 'test')}
    assert (crowded(tmp_path, **MODEL, **settings) == []) == enough
