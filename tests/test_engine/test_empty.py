"""Data sets without images, and images without annotations."""

import json
import re
from copy import deepcopy
from pathlib import Path
from types import SimpleNamespace

import cv2
import numpy as np
import pytest
import torch
from mmengine.dist import all_gather, get_rank
from mmengine.registry import MODELS, init_default_scope
from mmengine.runner import Runner
from torch.nn.utils import parameters_to_vector

from mmrsir.datasets.check import loaded
from mmrsir.datasets.check.loaded import DatasetError, check_objects
from mmrsir.engine import launch
from mmrsir.engine.config_check import ConfigError
from mmrsir.engine.loops.checked import checked_dataloader

from ..helpers.checked_sets import check
from ..helpers.configs import SHAPES, read
from ..helpers.forks import run_in_two_processes
from ..helpers.shrink import shrink

SCOPES = {scope: SHAPES[scope] for scope in ('mmdet', 'mmseg')}
TOO_SMALL = dict(filter_empty_gt=True, min_size=1000)
WRAPPERS = {
    'none': lambda one: one,
    'repeated': lambda one: dict(type='RepeatDataset', times=2, dataset=one),
    'balanced': lambda one: dict(type='ClassBalancedDataset', oversample_thr=0.1, dataset=one),
    'mixed': lambda one: dict(type='MultiImageMixDataset', pipeline=[], dataset=one),
    'joined': lambda one: dict(
        type='ConcatDataset', datasets=[{**one, 'filter_cfg': None}, WRAPPERS['repeated'](one)]
    ),
}


def small(config, data, tmp_path):
    cfg = shrink(read(config), str(data), str(tmp_path / 'run'))
    cfg.launcher = 'none'
    return cfg


@pytest.fixture
def settings(data, tmp_path):
    """A data loader of mmdet."""
    cfg = small(SHAPES['mmdet'], data, tmp_path)
    cfg.train_dataloader.dataset.indices = None
    return cfg.train_dataloader


def build(settings, name='train_dataloader'):
    runner = SimpleNamespace(
        build_dataloader=Runner.build_dataloader, seed=0, _randomness_cfg=dict(seed=0), model=None
    )
    return checked_dataloader(runner, settings, name)


@pytest.mark.parametrize(
    ('wrapper', 'serialize_data'),
    [(wrapper, True) for wrapper in WRAPPERS]
    # Otherwise mmengine joins one that is empty with what there is of others.
    + [(wrapper, False) for wrapper in WRAPPERS if wrapper != 'joined'],
)
def test_training_on_nothing_is_refused(wrapper, serialize_data, settings):
    dataset = settings.dataset
    dataset.update(filter_cfg=TOO_SMALL, serialize_data=serialize_data)
    settings.dataset = WRAPPERS[wrapper](dataset.to_dict())
    message = f'0 of 8 images left after filter_cfg={TOO_SMALL}: 8 have a side under min_size=1000'
    with pytest.raises(DatasetError, match=f'^train_dataloader: no-images .*{re.escape(message)}'):
        build(settings)


def test_training_on_something_is_allowed(settings):
    assert len(build(settings).dataset) == 7  # one of the eight shows no shape


def changed(settings, path, edit):
    """Point settings at a copy of their annotations, of which the first is edited."""
    dataset = settings.dataset
    content = json.loads(Path(f'{dataset.data_root}{dataset.ann_file}').read_text())
    edit(content['annotations'][0], content)
    path.write_text(json.dumps(content))
    dataset.ann_file = str(path)
    return settings


@pytest.mark.parametrize('wrapper', WRAPPERS)
def test_objects_without_masks_are_named_where_masks_are_loaded(wrapper, settings, tmp_path):
    changed(settings, tmp_path / 'some.json', lambda one, _: one.update(segmentation=None))
    dataset = settings.dataset.to_dict()
    settings.dataset = WRAPPERS[wrapper](dataset)
    with pytest.raises(
        DatasetError, match=r'no-mask .*Faster R-CNN.*some.json: 1 of \d+ objects have no mask'
    ):
        build(settings)
    settings.dataset = WRAPPERS[wrapper]({**dataset, 'pipeline': []})
    assert build(settings)


@pytest.mark.parametrize(
    ('mask', 'message'),
    [
        (dict(size=[99, 256], counts='ok3'), r'size=\[99, 256\] must be \[256, 256\]'),
        ([[], [[1, 2], [3, 4], [5, 6]]], 'is a list of points'),
        ([1, 2, 3, 4, 5, 6], 'put it into a list'),
    ],
)
def test_masks_that_cannot_be_read_are_named_where_masks_are_loaded(
    mask, message, settings, tmp_path
):
    edit = lambda one, _: one.update(segmentation=mask)  # noqa: E731
    with pytest.raises(DatasetError, match=rf'some.json: annotation 1 of .*{message}'):
        build(changed(settings, tmp_path / 'some.json', edit))


OUTSIDE = [[900, 900, 930, 900, 930, 940]]


def move(share, **fields):
    """Change a share of the annotations."""

    def edit(_, content):
        annotations = content['annotations']
        for one in annotations[: int(share * len(annotations))]:
            one.update(fields)

    return edit


@pytest.mark.parametrize(
    'edit',
    [
        move(0.2, image_id=77),
        move(0.2, segmentation=OUTSIDE),
        move(1, bbox=[-40, 10, 90, 50]),
        lambda one, _: one.update(segmentation=[[]]),
        lambda one, _: one.update(segmentation=[[], [1, 2, 9, 2, 9]]),
    ],
    ids=['image', 'outside', 'whole', 'empty', 'short'],
)
def test_annotations_that_mmdet_leaves_out_are_counted_before_a_training(
    edit, settings, tmp_path, monkeypatch
):
    said = []
    monkeypatch.setattr(loaded, 'print_log', lambda text, **_: said.append(text))
    assert build(changed(settings, tmp_path / 'some.json', edit))
    (line,) = said
    kind, number = re.match(r'train_dataloader: ([a-z-]+) \((\d+)\): .*some\.json: ', line).groups()
    (report,) = check('coco', settings.dataset.data_root, ann_file=settings.dataset.ann_file)
    assert int(number) == sum(fault.kind == kind for fault in report.faults) > 0
    assert 'check_dataset.py' in line


@pytest.mark.parametrize(
    ('edit', 'kind'),
    [
        (move(1, image_id=77), 'dangling-image'),
        (lambda one, _: one.update(image_id=str(one['image_id'])), 'dangling-image'),
        (move(0.6, segmentation=OUTSIDE), 'mask-box'),
        (move(0.6, bbox=[-80, 10, 90, 50]), 'bad-box'),
        (move(0.6, bbox=[0.1, 0.2, 1, 1]), 'bad-box'),
    ],
    ids=['no image', 'text', 'outside', 'box outside', 'normalized'],
)
@pytest.mark.parametrize('name', ['train_dataloader', 'val_dataloader'])
def test_annotations_whose_results_would_mean_nothing_are_refused(
    edit, kind, name, settings, tmp_path
):
    changed(settings, tmp_path / 'some.json', edit)
    settings.dataset.test_mode = name == 'val_dataloader'
    with pytest.raises(DatasetError, match=rf'^{name}: .*{kind} \(\d+\)'):
        build(settings, name)


def test_of_many_annotations_some_are_looked_at(settings, tmp_path, monkeypatch):
    monkeypatch.setattr(loaded, 'MOST_ANNOTATIONS', 4)
    with pytest.raises(DatasetError, match=r'none of the [34] objects has a mask; that is of'):
        build(changed(settings, tmp_path / 'some.json', move(1, segmentation=None)))


def refuse_in_two_processes(settings):
    reads = []
    read_all = loaded.coco.read
    loaded.coco.read = lambda *args: reads.append(args) or read_all(*args)
    with pytest.raises(DatasetError, match=r'none of the \d+ objects has a mask'):
        build(settings)
    assert len(reads) == (get_rank() == 0)


def test_one_process_looks_at_annotations_and_all_raise_the_error(settings, tmp_path):
    changed(settings, tmp_path / 'some.json', move(1, segmentation=None))
    run_in_two_processes(refuse_in_two_processes, settings)


class Records(list):
    ann_file = 'some.xml'

    def get_data_info(self, index):
        return self[index]


def test_objects_of_other_formats_need_masks_too_unless_label_maps_have_them():
    dataset = Records([dict(instances=[{}, dict(mask=np.zeros((9, 9)))])])
    check_objects(dict(type='LoadPanopticAnnotations', with_mask=True), dataset, 'train_dataloader')
    unlabelled = dict(type='LoadEmptyAnnotations', with_mask=True)
    masked = Records([dict(instances=[dict(mask=np.zeros((9, 9)))])])
    joined = SimpleNamespace(datasets=[masked, dataset])
    labelled = dict(type='LoadAnnotations', with_mask=True)
    check_objects(dict(datasets=[labelled, unlabelled]), joined, 'train_dataloader')
    with pytest.raises(DatasetError, match='1 of 2 objects in some.xml have no mask'):
        check_objects(labelled, dataset, 'train_dataloader')


@pytest.mark.parametrize(
    ('edit', 'message'),
    [
        (lambda one, _: one.update(area='9'), r"area='9' \(write a number without quotes\)"),
        (lambda one, _: one.update(bbox=None), "have no 'bbox'"),
        (lambda one, all_: all_.pop('categories'), 'no list of categories'),
    ],
)
def test_annotations_that_the_library_cannot_load_are_named(edit, message, settings, tmp_path):
    with pytest.raises(DatasetError, match=f'train_dataloader: .*some.json: .*{message}'):
        build(changed(settings, tmp_path / 'some.json', edit))


def of_one_class(one, content):
    for each in content['annotations']:
        each['category_id'] = one['category_id']


def without_a_name(_, content):
    del content['images'][0]['file_name']


def test_of_several_data_sets_the_one_that_cannot_be_loaded_is_named(settings, tmp_path):
    original, parts = settings.dataset.ann_file, []
    for edit in (of_one_class, without_a_name):
        settings.dataset.ann_file = original
        changed(settings, tmp_path / f'{edit.__name__}.json', edit)
        parts.append(settings.dataset.to_dict())
    settings.dataset = dict(type='ConcatDataset', datasets=parts)
    with pytest.raises(
        DatasetError, match="without_a_name.json: 1 of 8 images have no 'file_name'"
    ):
        build(settings)


def test_files_of_another_storage_are_not_called_missing(settings):
    dataset = settings.dataset
    dataset.update(data_prefix=dict(img='s3://bucket/train/'), filter_cfg=TOO_SMALL)
    with pytest.raises(DatasetError, match=r'no-images .*0 of 8 images left') as raised:
        build(settings)
    assert 'missing' not in str(raised.value)


def test_data_sets_of_other_formats_say_how_many_images_are_left(tmp_path):
    (tmp_path / 'Annotations').mkdir()
    (tmp_path / 'JPEGImages').mkdir()
    (tmp_path / 'list.txt').write_text('a\n')
    box = '<bndbox><xmin>1</xmin><ymin>1</ymin><xmax>9</xmax><ymax>9</ymax></bndbox>'
    size = '<size><width>50</width><height>50</height></size>'
    (tmp_path / 'Annotations/a.xml').write_text(
        f'<annotation>{size}<object><name>cat</name>{box}</object></annotation>'
    )
    dataset = dict(
        type='mmdet.XMLDataset',
        ann_file=str(tmp_path / 'list.txt'),
        data_prefix=dict(sub_data_root=str(tmp_path)),
        metainfo=dict(classes=('dog',)),
        filter_cfg=dict(filter_empty_gt=True),
        pipeline=[],
    )
    settings = dict(dataset=dataset, batch_size=1, sampler=dict(type='DefaultSampler'))
    message = r"list.txt: 0 of 1 images left after filter_cfg=.*, with the classes 'dog'"
    with pytest.raises(DatasetError, match=message):
        build(settings)


def test_a_data_set_that_is_built_already_is_refused_where_it_is_empty():
    settings = dict(dataset=Records(), batch_size=1, sampler=dict(type='DefaultSampler'))
    with pytest.raises(DatasetError, match='^train_dataloader: the data set is empty'):
        build(settings)


@pytest.mark.parametrize(
    ('change', 'error'),
    [(dict(no_such_argument=1), TypeError), (dict(pipeline=[dict(type='NoSuch')]), KeyError)],
)
def test_annotations_are_not_blamed_for_other_errors(change, error, settings, tmp_path):
    changed(settings, tmp_path / 'some.json', lambda one, _: one.update(area='9'))
    settings.dataset.update(change)
    with pytest.raises(error, match=r'no_such_argument|NoSuch'):
        build(settings)


def test_a_data_set_without_a_folder_of_images_is_refused(settings):
    settings.dataset.data_prefix = dict(img_path='train/')
    with pytest.raises(DatasetError, match="data_prefix must name .* img='train/'"):
        build(settings)


def test_other_errors_of_a_data_loader_are_left_alone(settings):
    settings.batch_size = 0
    with pytest.raises(ValueError, match='batch_size=0'):
        build(settings)


def run_part(part, cfg):
    """Validate or test."""
    cfg[f'{part}_cfg'].type = f'Checked{part.title()}Loop'
    getattr(launch.build_runner(cfg), part)()


@pytest.mark.parametrize(('part', 'scope'), [('val', 'mmdet'), ('test', 'mmseg')])
def test_evaluation_on_nothing_is_refused(part, scope, data, tmp_path):
    cfg = small(SCOPES[scope], data, tmp_path)
    dataset = cfg[f'{part}_dataloader'].dataset
    dataset.indices = None
    if scope == 'mmdet':
        dataset.ann_file = str(tmp_path / 'nothing.json')
        nothing = dict(images=[], annotations=[], categories=[])
        (tmp_path / 'nothing.json').write_text(json.dumps(nothing))
    else:
        (tmp_path / 'nothing').mkdir()
        dataset.data_prefix.img_path = str(tmp_path / 'nothing')
    with pytest.raises(ValueError, match=f'{part}_dataloader: .*0 of 0 images left'):
        run_part(part, cfg)


def test_a_text_is_no_list_of_classes(data, tmp_path):
    cfg = small(SHAPES['mmdet'], data, tmp_path)
    cfg.train_dataloader.dataset.metainfo = dict(classes='disc')
    with pytest.raises(ConfigError, match="train_dataloader: classes='disc' of the data set must"):
        launch.build_runner(cfg).train()


@pytest.mark.parametrize('part', ['val', 'test'])
def test_evaluation_skips_no_image(part, data, tmp_path):
    cfg = small(SHAPES['mmdet'], data, tmp_path)
    cfg[f'{part}_dataloader'].dataset.pipeline[0].on_corrupt = 'skip'
    with pytest.raises(ValueError, match=f"{part}_dataloader: on_corrupt='skip' is allowed in"):
        run_part(part, cfg)


@pytest.fixture(params=SCOPES)
def without_annotations(request, shapes, tmp_path):
    """A library, and a function that makes the settings of the images of which some are empty."""

    def settings(is_empty):
        if request.param == 'mmdet':
            path = shapes / 'coco/annotations/instances_train.json'
            content = json.loads(path.read_text())
            for one in content['images']:
                one['empty'] = is_empty(content['images'].index(one))
            empty = {one['id'] for one in content['images'] if one.pop('empty')}
            content['annotations'] = [
                one for one in content['annotations'] if one['image_id'] not in empty
            ]
            (tmp_path / 'some.json').write_text(json.dumps(content))
            return {
                'train_dataloader.dataset.ann_file': str(tmp_path / 'some.json'),
                'train_dataloader.dataset.filter_cfg': dict(filter_empty_gt=False, min_size=32),
                'train_dataloader.batch_sampler': None,
                'train_dataloader.sampler.shuffle': False,
            }
        folder = tmp_path / 'label_maps'
        folder.mkdir()
        for index, path in enumerate(sorted((shapes / 'ade/annotations/training').iterdir())):
            labels = cv2.imread(str(path), cv2.IMREAD_UNCHANGED)
            if is_empty(index):
                labels = np.zeros_like(labels)  # which reduce_zero_label turns into 255
            cv2.imwrite(str(folder / path.name), labels)
        return {
            'train_dataloader.dataset.data_prefix.seg_map_path': str(folder),
            'train_dataloader.sampler.shuffle': False,
        }

    return request.param, settings


@pytest.mark.parametrize('which', ['one', 'all'])
def test_batch_without_annotations_trains(which, without_annotations, data, tmp_path):
    scope, settings = without_annotations
    cfg = small(SCOPES[scope], data, tmp_path)
    cfg.merge_from_dict(settings(lambda index: index % 2 == 1 or which == 'all'))
    init_default_scope(scope)
    batch = next(iter(Runner.build_dataloader(deepcopy(cfg.train_dataloader))))
    empty = [is_empty_sample(one) for one in batch['data_samples']]
    assert empty == [which == 'all', True]
    model = MODELS.build(cfg.model)
    model.init_weights()
    model.train()
    losses = model(**model.data_preprocessor(batch, training=True), mode='loss')
    loss, log = model.parse_losses(losses)
    loss.backward()
    assert all(np.isfinite(value.item()) for value in log.values())
    for name, parameter in model.named_parameters():
        if parameter.requires_grad:
            assert parameter.grad is not None, name
            assert parameter.grad.isfinite().all(), name


def is_empty_sample(sample):
    if 'gt_instances' in sample:
        return len(sample.gt_instances) == 0
    return bool((sample.gt_sem_seg.data == 255).all())


@pytest.mark.parametrize(
    'without_annotations',
    ['mmseg', pytest.param('mmdet', marks=pytest.mark.slow)],
    indirect=True,
)
def test_one_process_may_see_no_annotations(without_annotations, data, tmp_path):
    scope, settings = without_annotations
    options = settings(lambda index: index % 2 == 1)
    # This sampler deals the images in turn; two iterations show what one leaves undone.
    options['train_dataloader.sampler.type'] = 'DefaultSampler'
    options['train_dataloader.dataset.indices'] = 8
    run_in_two_processes(train_apart, SCOPES[scope], data, tmp_path, options)
    reports = [json.loads((tmp_path / f'{rank}.json').read_text()) for rank in range(2)]
    assert reports == [dict(iterations=2, finite=True, equal=True)] * 2


def train_apart(config, data, folder, options):
    """Train with two processes of which one sees images without annotations only."""
    flags = launch.argument_parser('').parse_args([config, '--launcher', 'pytorch'])
    cfg = shrink(launch.load_config(flags), str(data), str(folder / 'run'))
    cfg.merge_from_dict(options)
    cfg.val_cfg = cfg.val_dataloader = cfg.val_evaluator = None
    runner = launch.build_runner(cfg)
    runner.train()
    weights = parameters_to_vector(runner.model.parameters()).detach()
    first, second = all_gather(weights)
    finite, equal = weights.isfinite().all().item(), torch.equal(first, second)
    report = dict(iterations=runner.iter, finite=finite, equal=equal)
    (folder / f'{get_rank()}.json').write_text(json.dumps(report))
