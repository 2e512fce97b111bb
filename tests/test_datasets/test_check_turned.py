"""Labels of the stored pixels of turned images are found, and sound ones are not blamed."""

import json

import numpy as np
import pytest
from PIL import Image, ImageDraw
from skimage import data

from mmrsir.datasets.loading.headers import turn

from ..helpers.checked_sets import check

PHOTO = Image.fromarray(data.astronaut()).resize((256, 256))
INVERSE = {3: 3, 4: 4, 2: 2, 6: 8, 5: 5}
NUMBER = 6


def scene(seed):
    """A photograph with three bright discs, and their boxes."""
    generator = np.random.default_rng(seed)
    picture = PHOTO.rotate(40 * seed).copy()
    labels = Image.new('L', picture.size, 0)
    boxes = []
    for _ in range(3):
        x, y, side = generator.integers((10, 10, 30), (190, 190, 60)).tolist()
        color = tuple(generator.integers(0, 256, 3).tolist())
        for image, fill in ((picture, color), (labels, 1)):
            ImageDraw.Draw(image).ellipse((x, y, x + side, y + side), fill=fill)
        boxes.append([x, y, side, side])
    return np.asarray(picture), np.asarray(labels), boxes


def save(path, upright, stored, labels_are_stored):
    """Write a picture with an orientation whose labels are of one or the other reading."""
    path.parent.mkdir(parents=True, exist_ok=True)
    pixels = upright if labels_are_stored else turn(upright, INVERSE[stored])
    exif = Image.Exif()
    exif[0x0112] = stored
    Image.fromarray(pixels).save(path, quality=90, exif=exif)


def write(root, layout, stored, labels_are_stored):
    images, annotations = [], []
    for i in range(NUMBER):
        upright, labels, boxes = scene(i)
        save(root / f'images/{i}.jpg', upright, stored, labels_are_stored(i))
        (root / 'labels').mkdir(exist_ok=True)
        Image.fromarray(labels).save(root / f'labels/{i}.png')
        images.append(dict(id=i + 1, file_name=f'{i}.jpg', width=256, height=256))
        annotations += [dict(image_id=i + 1, category_id=1, bbox=box, area=900) for box in boxes]
    records = [dict(one, id=number + 1, iscrowd=0) for number, one in enumerate(annotations)]
    content = dict(images=images, annotations=records, categories=[dict(id=1, name='disc')])
    (root / 'train.json').write_text(json.dumps(content))
    return root


def found(root, layout, color_type='color'):
    pipeline = [dict(type='LoadImageFromFile', color_type=color_type)]
    if layout == 'coco':
        settings = dict(ann_file='train.json', data_prefix=dict(img='images'))
        settings |= dict(metainfo=dict(classes=['disc']))
    else:
        settings = dict(data_prefix=dict(img_path='images', seg_map_path='labels'))
        palette = [[0, 0, 0], [9, 9, 9]]
        settings |= dict(metainfo=dict(classes=['ground', 'disc'], palette=palette))
        settings |= dict(type='BaseSegDataset', reduce_zero_label=False)
    (report,) = check(layout, root, pipeline=pipeline, **settings)
    return {
        fault.kind: fault.detail for fault in report.faults if fault.kind.endswith('orientation')
    }


@pytest.mark.parametrize('layout', ['coco', 'ade'])
@pytest.mark.parametrize('stored', INVERSE)
def test_labels_of_the_stored_pixels_are_found_and_those_of_the_turned_are_not(
    layout, stored, tmp_path
):
    root = write(tmp_path / 'stored', layout, stored, lambda i: True)
    faults = found(root, layout)
    assert faults.keys() == {'orientation'}
    assert (
        f'6 of 6 images have an EXIF orientation (6 of orientation {stored})'
        in (faults['orientation'])
    )
    assert "set color_type='color_ignore_orientation'" in faults['orientation']
    assert found(root, layout, 'color_ignore_orientation') == {}
    root = write(tmp_path / 'turned', layout, stored, lambda i: False)
    assert found(root, layout) == {}
    faults = found(root, layout, 'color_ignore_orientation')
    assert "set color_type='color' of" in faults['orientation']


def test_single_images_that_are_labelled_otherwise_are_named(tmp_path):
    root = write(tmp_path, 'ade', 3, lambda i: i == 0)
    faults = found(root, 'ade')
    assert 'labels fit the stored pixels, those of 5 other images' in faults['orientation']


def test_where_it_cannot_be_told_that_is_said(tmp_path):
    root = write(tmp_path, 'ade', 3, lambda i: True)
    for path in (root / 'labels').iterdir():  # alike in both readings
        half = np.zeros((256, 256), np.uint8)
        half[:, 100:156] = 1
        Image.fromarray(half).save(path)
    for i in range(NUMBER):
        save(root / f'images/{i}.jpg', scene(i)[0], 4, True)
    assert found(root, 'ade').keys() == {'unclear-orientation'}
