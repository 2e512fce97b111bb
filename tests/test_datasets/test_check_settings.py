"""Settings that must agree: the ignored label, how splits are read, how many objects count."""

import pytest
from mmengine.registry import DATASETS

from mmrsir.datasets.check.configs import check_config
from mmrsir.datasets.check.settings import ignored_label_problem
from mmrsir.datasets.loading.mmseg import ZeroLabelError
from mmrsir.engine.config_files import read_file

from ..helpers.checked_sets import InProcess
from ..helpers.commands import ROOT
from ..helpers.small_sets import coco_record, config, write_coco, write_maps

CLASSES = ['box', 'disc', 'star']
MAPS = [[0, 1, 2]] * 2
CATEGORIES = [(1, 'cross'), (2, 'disc')]
SEGMENTORS = sorted(str(path.relative_to(ROOT)) for path in (ROOT / 'configs/upernet').glob('*.py'))


@pytest.fixture
def cfg(tmp_path):
    root = write_maps(tmp_path, train=MAPS, val=MAPS)
    return config('maps', root, CLASSES, reduce_zero_label=False)


def found(cfg, kind):
    reports = check_config(cfg, ['train', 'val'], InProcess())
    return [fault.detail for one in reports for fault in one.faults if fault.kind == kind]


def transform(cfg, split, kind):
    """The settings of a transform of a split, which no other split shares."""
    dataset = cfg[f'{split}_dataloader'].dataset
    dataset.pipeline = [one.copy() for one in dataset.pipeline]
    return next(one for one in dataset.pipeline if one.type == kind)


@pytest.mark.parametrize('path', SEGMENTORS)
def test_every_segmentor_ignores_one_label(path):
    assert ignored_label_problem(read_file(ROOT / path)) is None


@pytest.mark.parametrize(
    'setting',
    [
        'model.decode_head.ignore_index',
        'model.auxiliary_head.ignore_index',
        'model.data_preprocessor.seg_pad_val',
        'train_dataloader.dataset.ignore_index',
        'val_dataloader.dataset.ignore_index',
        'val_evaluator.ignore_index',
    ],
)
def test_part_that_ignores_another_label_is_an_error_with_both_values(cfg, setting):
    assert not found(cfg, 'ignore-index')
    cfg.merge_from_dict({setting: 11})
    (said,) = found(cfg, 'ignore-index')
    assert f'11 in {setting}' in said and '255 in ' in said
    assert ignored_label_problem(cfg)[0] == setting


def test_heads_of_masked_losses_ignore_no_label(cfg):
    cfg.model.decode_head.ignore_index = None
    assert ignored_label_problem(cfg) is None


@pytest.mark.parametrize(
    ('kind', 'settings', 'said'),
    [
        ('LoadImageFromFile', dict(color_type='grayscale'), "color_type is 'color' in train"),
        ('LoadImageFromFile', dict(imdecode_backend='pillow'), "imdecode_backend is 'cv2' in tr"),
        ('LoadImageFromFile', dict(value_range=(0, 4095)), 'value_range is None in train'),
        ('LoadAnnotations', dict(imdecode_backend='cv2'), "of LoadAnnotations is 'pillow' in tr"),
    ],
)
def test_evaluation_that_reads_otherwise_is_a_warning_with_both_values(cfg, kind, settings, said):
    assert not found(cfg, 'other-reading')
    transform(cfg, 'val', kind).update(settings)
    (detail,) = found(cfg, 'other-reading')
    assert said in detail and f'{next(iter(settings.values()))!r} here' in detail


def test_labels_that_are_reduced_in_one_split_only_are_a_warning(cfg):
    cfg.val_dataloader.dataset.reduce_zero_label = True
    (detail,) = found(cfg, 'other-reading')
    assert detail == 'reduce_zero_label is False in train, True here'


def test_channels_in_another_order_are_a_warning(cfg):
    for split in ('train', 'val'):
        transform(cfg, split, 'LoadImageFromFile')
        normalize = dict(type='Normalize', mean=[0], std=[1], to_rgb=split == 'train')
        cfg[f'{split}_dataloader'].dataset.pipeline.append(normalize)
    assert found(cfg, 'other-reading') == ['to_rgb of Normalize is True in train, False here']


@pytest.mark.parametrize('of_dataset', [True, False])
def test_two_settings_of_the_zero_label_are_named_with_both_values(cfg, of_dataset):
    cfg.train_dataloader.dataset.reduce_zero_label = of_dataset
    assert not found(cfg, 'zero-setting')
    transform(cfg, 'train', 'LoadAnnotations').reduce_zero_label = not of_dataset
    (said,) = found(cfg, 'zero-setting')
    assert f'reduce_zero_label={not of_dataset}, its data set {of_dataset}' in said
    cfg.train_dataloader.dataset.lazy_init = False
    with pytest.raises(ZeroLabelError, match=f'reduce_zero_label={not of_dataset}'):
        DATASETS.build(cfg.train_dataloader.dataset)[0]


def test_a_data_set_that_is_built_already_has_no_ignored_label_to_compare():
    loader = dict(dataset=dict(datasets=[dict(ignore_index=7), object()]))
    problem = ignored_label_problem(dict(default_scope='mmseg', train_dataloader=loader))
    assert problem is None


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
