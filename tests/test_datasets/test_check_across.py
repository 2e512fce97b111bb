"""Images that a data set has more than once, in a split or in two."""

import shutil

import pytest
from PIL import Image

from ..helpers.checked_sets import CATEGORIES, CLASSES, OBJECTS, coco, details, kinds
from ..helpers.small_sets import coco_record, config, picture, write_coco, write_folders, write_maps


def twice(**second):
    """Training annotations in which the first file is listed again, under another id."""
    content = coco_record('train', CATEGORIES, OBJECTS)
    content['images'].append({**content['images'][0], 'id': 101, **second})
    return content


def test_file_under_two_ids_with_other_objects_is_an_error(tmp_path):
    cfg = coco(tmp_path, dict(train=twice()))
    assert kinds(cfg) == [{'two-records', 'no-annotations'}, set()]
    assert details(cfg, 'two-records') == [
        "'train_1.png' is listed under the image ids 1, 101, with 2, 0 annotations"
    ]


def test_other_way_to_write_the_same_path_makes_no_difference(tmp_path):
    cfg = coco(tmp_path, dict(train=twice(file_name='./train_1.png')))
    assert 'two-records' in kinds(cfg)[0]


def test_file_under_two_ids_with_the_same_objects_is_a_warning(tmp_path):
    train = twice()
    first = [one for one in train['annotations'] if one['image_id'] == 1]
    train['annotations'] += [dict(one, id=one['id'] + 100, image_id=101) for one in first]
    assert kinds(coco(tmp_path, dict(train=train))) == [{'repeated-file'}, set()]


def test_file_with_two_sizes_is_an_error(tmp_path):
    cfg = coco(tmp_path, dict(train=twice(width=320)))
    assert details(cfg, 'two-sizes') == ["'train_1.png' is listed as 40 x 32 and 320 x 32 pixels"]


@pytest.mark.parametrize('label', [0, 1])
def test_line_of_a_list_that_comes_again_is_found(tmp_path, label):
    names = ['beech', 'oak']
    cfg = config('folders', write_folders(tmp_path, train=names, val=names), names)
    (tmp_path / 'train.txt').write_text(
        f'beech/0.png 0\nbeech/1.png 0\noak/0.png 1\noak/1.png 1\nbeech/0.png {label}\n'
    )
    cfg.train_dataloader.dataset.ann_file = 'train.txt'
    assert kinds(cfg)[0] == {'two-records' if label else 'repeated-file'}


def test_image_name_that_a_list_has_twice_is_found(tmp_path):
    root = write_maps(tmp_path, train=[[0, 1, 2]] * 2, val=[[0, 1, 2]])
    (root / 'train.txt').write_text('0\n1\n0\n')
    cfg = config('maps', root, CLASSES, reduce_zero_label=False)
    cfg.train_dataloader.dataset.ann_file = 'train.txt'
    assert kinds(cfg) == [{'repeated-file'}, set()]


def test_same_picture_in_train_and_val_is_found_whatever_its_name_and_format(tmp_path):
    cfg = coco(tmp_path)
    Image.open(tmp_path / 'train/train_2.png').save(tmp_path / 'val/val_1.png', 'BMP')
    assert kinds(cfg) == [set(), {'trained-on', 'wrong-suffix'}]
    assert details(cfg, 'trained-on') == [
        f'train has it as {tmp_path}/train/train_2.png (1 of the 3 images of val are in train)'
    ]


def test_val_that_is_train_is_found(tmp_path):
    cfg = coco(tmp_path)
    cfg.val_dataloader.dataset = cfg.train_dataloader.dataset
    cfg.val_evaluator.ann_file = f'{tmp_path}/train.json'
    (found,) = kinds(cfg)
    assert found == {'trained-on'}
    assert len(details(cfg, 'trained-on')) == 3


def test_same_picture_under_two_classes_is_named_with_both(tmp_path):
    write_folders(tmp_path, train=['oak', 'pine'], val=['oak', 'pine'])
    shutil.copy(tmp_path / 'train/oak/0.png', tmp_path / 'train/pine/1.png')
    (said,) = details(config('folders', tmp_path), 'same-pixels')
    assert (
        said
        == f"holds the same pixels as {tmp_path}/train/oak/0.png, there as 'oak', here as 'pine'"
    )


def test_pictures_that_differ_in_one_pixel_are_no_copies(tmp_path):
    root = write_coco(
        tmp_path,
        train=coco_record('train', CATEGORIES, OBJECTS),
        val=coco_record('val', CATEGORIES, OBJECTS),
    )
    image = Image.open(root / 'train/train_1.png')
    red, *rest = image.getpixel((3, 3))
    image.putpixel((3, 3), (red ^ 1, *rest))
    image.save(root / 'val/val_1.png')
    assert kinds(config('coco', root, CLASSES)) == [set(), set()]
    picture(root / 'val/val_1.png', seed=1)
    assert kinds(config('coco', root, CLASSES)) == [set(), {'trained-on'}]
