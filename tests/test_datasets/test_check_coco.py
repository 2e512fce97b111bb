"""Each fault that is put into a sound COCO data set is found, and nothing else."""

import json
import os
import re
import shutil
import time

import numpy as np
import pytest
from mmdet.datasets import CocoDataset
from PIL import Image
from pycocotools import mask as rle

from mmrsir.datasets.check.faults import ERRORS

from ..helpers.checked_sets import check, faults
from ..helpers.commands import ROOT

COCO_FILE = 'annotations/instances_train.json'
# The only image of the eight for training without annotations.
EMPTY = 'train/shapes_train_000003.jpg'
CLEAN = {('no-annotations', EMPTY)}


@pytest.fixture
def coco(shapes, tmp_path):
    return shutil.copytree(shapes / 'coco', tmp_path / 'coco')


@pytest.fixture
def report_of(coco):
    """The report on COCO annotations that were changed."""

    def report_of(change=lambda content: None, **settings):
        path = coco / COCO_FILE
        content = json.loads(path.read_text())
        change(content)
        path.write_text(json.dumps(content))
        (report,) = check('coco', coco, **settings)
        return report

    return report_of


@pytest.fixture
def faults_of(coco, report_of):
    """The kinds and paths of the additional faults of such annotations."""

    def faults_of(change, **settings):
        found = report_of(change, **settings).faults
        return {(one.kind, os.path.relpath(one.path, coco)) for one in found} - CLEAN

    return faults_of


@pytest.fixture
def fault_of(report_of):
    """The only fault of such annotations, of some kind or beside images without any."""

    def fault_of(change, kind=None, **settings):
        found = report_of(change, **settings).faults
        (fault,) = (one for one in found if kind in (None, one.kind) and one.path.endswith('.json'))
        return fault

    return fault_of


# A picture with several objects, and its record and first annotation in each list.
FULL = 'train/shapes_train_000002.jpg'
POSITION = dict(images=2, annotations=4, categories=3)


def edit(part, **fields):
    return lambda content: content[part][POSITION[part]].update(fields)


def append(part, **fields):
    return lambda content: content[part].append(
        {**content[part][POSITION[part]], 'id': 9999, **fields}
    )


def drop(field):
    return lambda content: content['annotations'][POSITION['annotations']].pop(field)


def as_ids(kind):
    def change(content):
        for part, records in content.items():
            for one in records if part in POSITION else ():
                for key in ('id', 'image_id', 'category_id'):
                    if key in one:
                        one[key] = kind(one[key])

    return change


def segment(segmentation):
    return edit('annotations', segmentation=segmentation)


def rectangle(x, y, width, height):
    return [x, y, x + width, y, x + width, y + height, x, y + height]


def outline(bbox, segmentation=None, shape=None):
    """A box with a mask: a rectangle that is the box itself by default."""
    return edit('annotations', bbox=bbox, segmentation=segmentation or [rectangle(*shape or bbox)])


def pack(mask):
    packed = rle.encode(np.asfortranarray(mask.astype(np.uint8)))
    return {'size': packed['size'], 'counts': packed['counts'].decode()}


def mask(size=256):
    return np.random.default_rng(0).random((size, size)) < 0.1


def test_sound_data_set_has_no_errors(shapes):
    assert faults('coco', shapes / 'coco') == CLEAN


COCO_FAULTS = {
    'no area field': ('bad-record', drop('area')),
    'no image width': ('bad-record', edit('images', width=0)),
    'name is a number': ('bad-record', edit('images', file_name=7)),
    'category is text': ('bad-record', lambda c: c['categories'].append('disc')),
    'crowd as text': ('bad-record', edit('annotations', iscrowd='0')),
    'id is a list': ('bad-record', append('annotations', id=[1])),
    'image twice': ('duplicate-id', lambda c: c['images'].append(c['images'][0])),
    'annotation twice': ('duplicate-id', lambda c: c['annotations'].append(c['annotations'][0])),
    'category id twice': ('duplicate-id', append('categories', id=1, name='other')),
    'category name twice': ('duplicate-id', append('categories')),
    'no such image': ('dangling-image', append('annotations', image_id=77)),
    'no such category': ('dangling-category', append('annotations', category_id=77)),
    'image id as text': ('dangling-image', edit('annotations', image_id='2')),
    'id is no whole number': ('bad-record', edit('annotations', id=1.5)),
    'three numbers': ('bad-box', edit('annotations', bbox=[1, 2, 3])),
    'text': ('bad-box', edit('annotations', bbox='1 2 3 4')),
    'not a number': ('bad-box', edit('annotations', bbox=[1, 2, 3, float('nan')])),
    'huge': ('bad-box', edit('annotations', bbox=[1, 2, 3, 10**400])),
    'negative': ('bad-box', edit('annotations', bbox=[50, 50, -20, 30])),
    'right': ('bad-box', edit('annotations', bbox=[200, 20, 58, 20])),
    'left': ('bad-box', edit('annotations', bbox=[-2, 20, 30, 20])),
    'below': ('bad-box', edit('annotations', bbox=[20, 300, 20, 20])),
    'no height': ('left-out', edit('annotations', bbox=[20, 20, 30, 0])),
    'no area': ('left-out', edit('annotations', area=0)),
    'no polygon': ('no-mask', segment([])),
    'null': ('no-mask', segment(None)),
    'no segmentation': ('no-mask', drop('segmentation')),
    'empty polygon': ('bad-polygon', segment([[]])),
    'line': ('bad-polygon', segment([[1, 2, 30, 40]])),
    'odd polygon': ('bad-polygon', segment([[1, 2, 30, 2, 30, 40, 1]])),
    'second polygon': ('bad-polygon', segment([[1, 2, 30, 2, 30, 40], [1, 2]])),
    'polygon of text': ('bad-polygon', segment([['1', '2', '30', '2', '30', '40']])),
    'flat polygon': ('bad-polygon', segment([1, 2, 30, 2, 30, 40])),
    'other size': ('bad-rle', segment(pack(mask(255)))),
    'too few pixels': ('bad-rle', segment({'size': [256, 256], 'counts': [100, 50]})),
    'too many pixels': ('bad-rle', segment({'size': [256, 256], 'counts': [100, 256**2]})),
    'negative length': ('bad-rle', segment({'size': [256, 256], 'counts': [-1, 256**2 + 1]})),
    'cut': ('bad-rle', segment({**pack(mask()), 'counts': pack(mask())['counts'][:-3]})),
    'no such character': ('bad-rle', segment({'size': [256, 256], 'counts': 'é'})),
    'unfinished': ('bad-rle', segment({'size': [256, 256], 'counts': 'o'})),
    'no counts': ('bad-rle', segment({'size': [256, 256]})),
    'from 0 to 1': ('bad-box', edit('annotations', bbox=[0.2, 0.2, 0.1, 0.2])),
    'no such class': ('missing-class', edit('categories', name='triangles')),
    'order': ('class-order', lambda c: c['categories'].reverse()),
}


@pytest.mark.parametrize(('kind', 'change'), COCO_FAULTS.values(), ids=COCO_FAULTS)
def test_fault_of_coco_annotations_is_found(faults_of, kind, change):
    assert faults_of(change) == {(kind, COCO_FILE)}


@pytest.mark.parametrize(
    'change',
    [
        outline([0, 0, 256, 256], pack(mask())),
        outline([0, 100, 1, 50], {'size': [256, 256], 'counts': [100, 50, 256**2 - 150]}),
        outline([199.5, 20, 57, 20]),
        outline([100, 50, 40, 30], shape=[98, 49, 43, 32]),
        edit('annotations', ignore=True, bbox=[0, 0, 0, 0]),
        as_ids(float),
        as_ids(str),
    ],
    ids=[
        'packed',
        'run lengths',
        'rounding',
        'nearly the box',
        'ignored',
        'whole floats',
        'text',
    ],
)
def test_what_training_takes_is_no_fault(faults_of, change):
    assert faults_of(change) == set()


@pytest.mark.parametrize('value', [None, 'absent'])
@pytest.mark.parametrize('key', ['id', 'image_id', 'category_id', 'area', 'bbox'])
def test_field_that_all_annotations_lack_is_one_fault(coco, report_of, key, value):
    def change(content):
        for one in content['annotations']:
            one.update({key: None})
            if value:
                one.pop(key)

    faults = report_of(change).faults
    (fault,) = (fault for fault in faults if fault.kind == 'bad-record')
    assert f'annotations have no {key!r}' in fault.detail
    others = {(one.kind, os.path.relpath(one.path, coco)) for one in faults if one is not fault}
    assert others <= {('no-images', COCO_FILE), *CLEAN}


@pytest.mark.parametrize('key', ['image_id', 'category_id'])
def test_annotations_of_unknown_ids_leave_no_image_empty(faults_of, key):
    def change(content):
        for one in content['annotations']:
            one[key] = str(one[key])

    kinds = {kind for kind, _ in faults_of(change)}
    assert kinds <= {f'dangling-{key.removesuffix("_id")}', 'no-images'}


def test_number_of_run_lengths_that_does_not_end_costs_no_time(faults_of):
    begun = time.process_time()
    found = faults_of(segment({'size': [256, 256], 'counts': 'o' * 1_000_000}))
    assert found == {('bad-rle', COCO_FILE)}
    assert time.process_time() - begun < 5.0  # 25 if all of it is read


def test_polygons_of_a_detector_without_masks_do_not_matter(faults_of):
    pipeline = [dict(type='LoadAnnotations', with_bbox=True)]
    assert faults_of(segment([]), pipeline=pipeline) == set()


@pytest.mark.parametrize(
    'text',
    ['{"images": [', '[' * 100_000, '[]', '{"images": [], "annotations": []}'],
    ids=['cut', 'deep', 'list', 'no categories'],
)
def test_file_that_is_no_coco_json_is_found(coco, text):
    (coco / COCO_FILE).write_bytes(text.encode('latin-1'))
    assert faults('coco', coco) == {('bad-json', COCO_FILE)}


def test_image_of_another_size_than_annotated_is_found(faults_of):
    assert faults_of(edit('images', height=280)) == {('wrong-size', FULL)}


def test_image_that_exif_data_turn_is_found(coco, faults_of):
    exif = Image.Exif()
    exif[0x0112] = 6
    Image.new('RGB', (120, 80)).save(coco / EMPTY, exif=exif)
    found = faults_of(lambda content: content['images'][3].update(width=120, height=80))
    assert found == {('wrong-size', EMPTY)}


def test_images_that_the_filter_leaves_are_counted_with_the_reason(report_of):
    report = report_of(filter_cfg=dict(filter_empty_gt=True, min_size=300))
    assert (report.num_images, report.num_left) == (8, 0)
    assert '8 have a side under min_size=300' in report.filtered
    (detail,) = (fault.detail for fault in report.faults if fault.kind == 'no-images')
    assert detail.endswith('Lower min_size in filter_cfg to train on small images')
    report = report_of()
    assert (report.num_images, report.num_left) == (8, 7)
    assert '1 have no annotation of the classes (filter_empty_gt)' in report.filtered


def test_data_set_that_is_filtered_away_is_an_error(faults_of):
    found = faults_of(lambda content: content['annotations'].clear())
    assert ('no-images', COCO_FILE) in found
    assert {kind for kind, _ in found} == {'no-images', 'no-annotations'}


def test_what_only_the_library_refuses_is_found(fault_of, monkeypatch):
    def refuse(self):
        raise KeyError('licence')

    monkeypatch.setattr(CocoDataset, 'load_data_list', refuse)
    fault = fault_of(lambda content: None)
    assert (fault.kind, fault.detail) == ('unloadable', "KeyError: 'licence'")


def test_annotations_and_folders_that_do_not_exist_are_found_with_the_nearest(coco, report_of):
    settings = dict(ann_file='annotations/instance_train.json', data_prefix=dict(img='trains'))
    report = report_of(**settings)
    assert [(fault.kind, fault.detail) for fault in report.faults] == [
        ('missing-file', f'does not exist; did you mean {coco / COCO_FILE}?'),
        ('missing-folder', f'does not exist; did you mean {coco / "train"}?'),
    ]


BOX = [100, 50, 40, 30]
PLACES = {
    'normalised': ([rectangle(100 / 256, 50 / 256, 40 / 256, 30 / 256)], 'from 0 to 1: multiply'),
    'normalised, in a box at the corner': (
        [rectangle(0, 0, 40 / 256, 30 / 256)],
        'from 0 to 1: multiply',
        [0, 0, 40, 30],
    ),
    'in per cent': (
        [rectangle(100 / 2.56, 50 / 2.56, 40 / 2.56, 30 / 2.56)],
        'fits an image of 100 x 100 pixels',
    ),
    'of an image twice as large': ([rectangle(200, 100, 80, 60)], 'fits an image of 512 x 512'),
    'swapped': ([rectangle(50, 100, 30, 40)], 'x and y are swapped'),
    'from the corner of the box': ([rectangle(0, 0, 40, 30)], 'counted from the corner of its box'),
    'from below': ([rectangle(100, 256 - 80, 40, 30)], 'y seems to be counted from below'),
    'moved': ([rectangle(60, 70, 40, 30)], 'if moved by 40, -20 pixels'),
    'outside': ([rectangle(500, 450, 40, 30)], 'covers no pixel of the 256 x 256'),
    'box of two corners': ([rectangle(60, 50, 40, 80)], 'two corners', [60, 50, 100, 130]),
    'a line': ([[100, 50, 120, 50, 140, 50]], 'covers no pixel'),
    'empty run lengths': ({'size': [256, 256], 'counts': [256**2]}, 'covers no pixel'),
    'elsewhere': ([rectangle(10, 200, 90, 20)], 'the mask covers x 10 to 100'),
}


@pytest.mark.parametrize('place', PLACES)
def test_mask_in_another_place_than_its_box_is_found_with_the_cause(place, fault_of):
    segmentation, said, *bbox = PLACES[place]
    fault = fault_of(outline(*bbox or [BOX], segmentation=segmentation))
    assert fault.kind == 'mask-box'
    assert said in fault.detail


@pytest.mark.parametrize('shape', [[110, 55, 15, 10], [90, 45, 50, 40]], ids=['part', 'larger'])
def test_mask_that_does_not_fill_its_box_is_a_warning(shape, fault_of):
    assert fault_of(outline(BOX, shape=shape)).kind == 'loose-mask'


@pytest.mark.parametrize(
    ('kind', 'change', 'said'),
    [
        ('bad-polygon', segment(rectangle(*BOX)), 'is one flat list of numbers; COCO has a list'),
        ('bad-polygon', segment([[[100, 50], [140, 50], [140, 80]]]), 'is a list of points; COCO'),
        ('bad-polygon', segment('100,50,140,50'), 'must be a list of polygons'),
        ('bad-box', edit('annotations', bbox=[100, 150, 240, 250]), 'two corners?'),
    ],
    ids=['flat', 'points', 'text', 'two corners'],
)
def test_message_on_another_form_says_what_to_do(kind, change, said, fault_of):
    fault = fault_of(change)
    assert fault.kind == kind
    assert said in fault.detail


def test_data_set_without_masks_is_one_fault_that_says_what_to_do(fault_of):
    def change(content):
        for index, one in enumerate(content['annotations']):
            one.update(segmentation=[None, [], {}][index % 3])

    fault = fault_of(change)
    assert fault.kind == 'no-mask' and 'none of the' in fault.detail
    assert 'Faster R-CNN' in ERRORS['no-mask']
    page, _, anchor = re.search(r'docs/\S+', ERRORS['no-mask'])[0].partition('#')
    headings = re.findall(r'^#+ (.*)', (ROOT / page).read_text(), flags=re.MULTILINE)
    assert anchor in [one.lower().replace(' ', '-') for one in headings]


def test_objects_without_a_mask_among_others_are_one_fault(fault_of):
    def change(content):
        for one in content['annotations'][1::2]:
            del one['segmentation']

    said = fault_of(change).detail
    assert re.match(r'\d+ of \d+ objects have no mask: draw .*, or delete them: \d+, \d+', said)


def test_category_that_the_config_lacks_is_named_with_its_objects(coco, fault_of):
    content = json.loads((coco / COCO_FILE).read_text())
    *others, last = content['categories']
    number = sum(one['category_id'] == last['id'] for one in content['annotations'])
    metainfo = dict(_delete_=True, classes=[one['name'] for one in others])
    fault = fault_of(lambda content: None, 'unused-class', metainfo=metainfo)
    assert f'{last["name"]!r} ({number} objects)' in fault.detail


def test_class_that_is_written_otherwise_in_the_file_is_named_so(report_of):
    report = report_of(
        lambda content: content['categories'][3].update(name='TRI ANGLE'),
        metainfo=dict(_delete_=True, classes=['cross', 'disc', 'star', 'tri_angle']),
    )
    said = [fault.detail for fault in report.faults if fault.kind == 'missing-class']
    assert "no category is called 'tri_angle'; did you mean 'TRI ANGLE'?" in said
