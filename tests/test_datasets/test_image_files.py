"""Images are read whatever their suffix, and those that are not are counted with the reason."""

import os
from copy import deepcopy
from pathlib import Path

import numpy as np
import pytest
from mmengine.registry import DATASETS, TRANSFORMS, init_default_scope
from mmseg.datasets import transforms
from PIL import Image

import mmrsir.replacements  # noqa: F401  # as the configs do
from mmrsir.datasets.loading.image_files import files_of, is_image, passed_over, walk
from mmrsir.datasets.loading.mmseg import LabelMapError, LoadAnnotations
from mmrsir.engine.scopes import set_dataloader_defaults

from ..helpers.checked_sets import check
from ..helpers.configs import SHAPES, read

NAMES = {'a.jpg': 'JPEG', 'b.JPG': 'JPEG', 'c.jpeg': 'JPEG', 'd.webp': 'WEBP', 'e.jfif': 'JPEG'}
NAMES |= {'f.tif': 'TIFF', 'below/g.avif': 'AVIF', 'h.gif': 'GIF'}


def write(path, form='PNG'):
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(np.zeros((8, 8), np.uint8)).save(path, form)


@pytest.fixture
def maps(tmp_path):
    for name, form in NAMES.items():
        write(tmp_path / 'images' / name, form)
        write((tmp_path / 'labels' / name).with_suffix('.png'))
    return tmp_path


def segmentation(root, kind='BaseSegDataset', folder='labels', **settings):
    init_default_scope('mmseg')
    prefix = dict(img_path='images', seg_map_path=folder)
    settings = dict(data_root=str(root), data_prefix=prefix, **settings)
    return DATASETS.build(dict(type=kind, metainfo=dict(classes=['wall']), **settings))


def names(dataset):
    samples = [dataset.get_data_info(index) for index in range(len(dataset))]
    return sorted(os.path.relpath(one['img_path'], dataset.data_root) for one in samples)


def test_folder_of_images_is_read_whatever_their_suffix(maps):
    dataset = segmentation(maps)
    assert names(dataset) == sorted(f'images/{name}' for name in NAMES)
    for index in range(len(NAMES)):
        sample = dataset.get_data_info(index)
        assert Path(sample['img_path']).stem == Path(sample['seg_map_path']).stem
        assert os.path.isfile(sample['seg_map_path'])


def test_label_maps_copies_and_images_without_a_label_map_are_no_samples(maps):
    write(maps / 'images/a.png')  # a copy
    write(maps / 'images/nolabels.png')
    dataset = segmentation(maps)
    assert 'images/a.jpg' in names(dataset) and len(dataset) == len(NAMES)
    used = {os.path.join(maps, name) for name in names(dataset)}
    used |= {str(path) for path in (maps / 'labels').rglob('*.png')}
    said = passed_over(dataset, used)
    assert said.startswith(f'2 of {len(NAMES) + 2} images of {maps}/images are not read: ')
    assert '1 .png: another image has the same name' in said
    assert '1 .png: no label map has their name and ends in .png' in said
    for name in NAMES:  # label maps beside their images
        write((maps / 'images' / name).with_suffix('.png'))
    assert not any(name.endswith('.png') for name in names(segmentation(maps, folder='images')))


def test_list_may_name_images_of_any_suffix_and_with_it(maps):
    (maps / 'list.txt').write_text('a\nb\nd.webp\nbelow/g\n')
    dataset = segmentation(maps, ann_file='list.txt')
    expected = ['images/a.jpg', 'images/b.JPG', 'images/below/g.avif', 'images/d.webp']
    assert names(dataset) == expected
    assert all(os.path.isfile(dataset.get_data_info(index)['seg_map_path']) for index in range(4))


def test_suffix_that_is_more_than_a_format_is_taken_to_the_letter(maps):
    write(maps / 'images/i_left.png')
    write(maps / 'labels/i_labels.png')
    suffixes = dict(img_suffix='_left.png', seg_map_suffix='_labels.png')
    assert names(segmentation(maps, **suffixes)) == ['images/i_left.png']


def test_class_folders_are_read_whatever_the_suffix(tmp_path):
    init_default_scope('mmpretrain')
    for name, form in NAMES.items():
        write(tmp_path / 'oak' / name, form)
    write(tmp_path / 'outside.jpg')
    settings = dict(type='CustomDataset', data_root=str(tmp_path), data_prefix='')
    dataset = DATASETS.build(settings)
    assert len(dataset) == len(NAMES)
    assert '1 .jpg: not in the folder of a class' in passed_over(dataset, None)
    few = DATASETS.build(dict(settings, extensions=('.jpg',)))
    assert len(few) == 2  # .JPG too
    assert passed_over(few, None).startswith(f'7 of {len(NAMES) + 1} images of {tmp_path}')


def test_images_that_indices_leave_out_are_not_passed_over(maps):
    init_default_scope('mmseg')
    prefix = dict(img_path='images', seg_map_path='labels')
    settings = dict(type='BaseSegDataset', data_root=str(maps), data_prefix=prefix)
    dataset = DATASETS.build(dict(settings, indices=2))
    used = {*files_of(map(dataset.get_data_info, range(2)))}
    whole = DATASETS.build(settings)
    every = {*files_of(map(whole.get_data_info, range(len(whole))))}
    assert len(dataset) == 2 < len(whole)
    assert passed_over(dataset, used) == passed_over(whole, every)


def test_check_counts_the_images_that_no_data_set_of_the_config_reads(maps):
    settings = dict(type='ADE20KDataset', metainfo=None, reduce_zero_label=True)
    prefix = dict(img_path='images', seg_map_path='labels')
    (maps / 'images/photo.heic').write_bytes(bytes(9))
    (report,) = check('ade', maps, data_prefix=prefix, **settings)
    (fault,) = (one for one in report.faults if one.kind == 'passed-over')
    assert fault.detail.startswith(f'8 of 9 images of {maps}/images are not read: ')
    assert "1 .JPG: does not end in img_suffix='.jpg'" in fault.detail
    assert '1 .heic: HEIC is not read: save it as JPEG or PNG' in fault.detail
    assert f'7 label maps of {maps}/labels: no image has their name' in fault.detail


def test_content_tells_an_image_where_the_suffix_does_not(tmp_path):
    for name in ('upload', 'photo.jpg_large', 'photo.jpg'):
        write(tmp_path / name, 'JPEG')
    (tmp_path / 'notes').write_text('no image')
    assert [name for name in walk(tmp_path) if is_image(tmp_path / name)] == [
        'photo.jpg',
        'photo.jpg_large',
        'upload',
    ]


def test_a_file_that_links_lead_to_is_read_once(tmp_path):
    root = tmp_path / 'root'
    for name in ('root/one', 'root/two', 'root/.hidden', 'outside/three'):
        write(tmp_path / name / 'photo.jpg', 'JPEG')
    links = [('root/one/back', '..'), ('root/two/self', '.'), ('root/one/two', '../two')]
    links += [('root/above', '../..'), ('root/shown', '.hidden'), ('outside/again', 'three')]
    links += [('root/also', '../outside'), ('root/too', '../outside/three')]
    for link, to in links:
        (tmp_path / link).symlink_to(to)
    folders = ['one', 'shown', 'too', 'two']
    assert list(walk(root)) == [f'{folder}/photo.jpg' for folder in folders]


def test_linked_folders_of_images_and_label_maps_give_each_sample_once(maps):
    for folder in ('images', 'labels'):
        (maps / folder / 'latest').symlink_to('below')
    (maps / 'images/self').symlink_to('.')
    assert names(segmentation(maps)) == sorted(f'images/{name}' for name in NAMES)


def test_label_map_that_is_too_large_for_pillow_is_loaded(tmp_path):
    init_default_scope('mmseg')
    Image.new('1', (13500, 13500)).save(tmp_path / 'map.png')
    limit = Image.MAX_IMAGE_PIXELS
    results = dict(seg_map_path=str(tmp_path / 'map.png'), reduce_zero_label=False, seg_fields=[])
    loaded = TRANSFORMS.build(dict(type='LoadAnnotations'))(results)
    assert loaded['gt_seg_map'].shape == (13500, 13500)
    assert limit == Image.MAX_IMAGE_PIXELS


def load_map(path, values, **results):
    Image.fromarray(values).save(path)
    kind = results.pop('kind', LoadAnnotations)
    settings = dict(seg_map_path=str(path), reduce_zero_label=False, seg_fields=[])
    return kind()({**settings, **results})['gt_seg_map']


@pytest.mark.parametrize('reduce_zero_label', [False, True])
@pytest.mark.parametrize('label_map', [None, {0: 1, 1: 0, 2: 255}])
def test_labels_are_those_of_mmseg(reduce_zero_label, label_map, tmp_path):
    values = np.arange(256, dtype=np.uint8).reshape(16, 16)
    settings = dict(reduce_zero_label=reduce_zero_label, label_map=label_map)
    ours, theirs = (
        load_map(tmp_path / 'map.png', values, kind=kind, **settings)
        for kind in (LoadAnnotations, transforms.LoadAnnotations)
    )
    assert np.array_equal(ours, theirs) and ours.dtype == theirs.dtype


@pytest.mark.parametrize(
    ('values', 'message'),
    [
        (np.zeros((8, 9, 3), np.uint8), 'map.png has 3 channels: a label map has one'),
        (np.zeros((8, 9, 4), np.uint8), 'map.png has 4 channels'),
        (
            np.zeros((4, 9), np.uint8),
            'map.png is 9 x 4 pixels, its image 9 x 8: make both the same$',
        ),
        (np.zeros((9, 8), np.uint8), r'map.png is 8 x 9 .* color_type=.color_ignore_orientation'),
        (np.full((8, 9), 257, np.uint16), 'map.png has the value 257: labels go to 254'),
    ],
)
def test_a_label_map_that_has_not_one_class_for_each_pixel_is_refused(values, message, tmp_path):
    with pytest.raises(LabelMapError, match=message):
        load_map(tmp_path / 'map.png', values, ori_shape=(8, 9))
    sound = np.full((8, 9), 65535, np.uint16)  # of no class
    assert (load_map(tmp_path / 'map.png', sound, ori_shape=(8, 9)) == 255).all()


def test_blank_lines_of_a_list_name_no_image(maps):
    (maps / 'list.txt').write_bytes(b'a\r\n\r\nb\r\n\r\n')
    assert names(segmentation(maps, ann_file='list.txt')) == ['images/a.jpg', 'images/b.JPG']


@pytest.mark.parametrize('config', SHAPES.values())
def test_without_workers_their_settings_are_dropped(config):
    cfg = deepcopy(read(config))
    for split in ('train', 'val', 'test'):
        cfg[f'{split}_dataloader'].update(num_workers=0, persistent_workers=True, timeout=9)
    cfg.train_dataloader.prefetch_factor = 4
    set_dataloader_defaults(cfg)
    for split in ('train', 'val', 'test'):
        kept = cfg[f'{split}_dataloader']
        assert not {'persistent_workers', 'prefetch_factor', 'timeout'} & kept.keys()
