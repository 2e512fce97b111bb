"""Boxes in XML files and pictures of masks become the COCO files that they mean."""

import json
from fractions import Fraction

import numpy as np
import pytest
from PIL import Image
from pycocotools import mask as coco_mask

from mmrsir.datasets.converters.coco_files import parts_of
from mmrsir.datasets.converters.mask_pictures import read_masks
from mmrsir.datasets.converters.voc import read_voc
from mmrsir.utils.errors import UserError
from tools.dataset_converters import masks_to_coco, voc_to_coco

SIZE = (40, 30)


def picture(path, size=SIZE, **settings):
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.new('RGB', size).save(path, **settings)
    return path


def xml(path, *objects, size=SIZE, filename='elsewhere.jpg'):
    """Write an XML file; an object is its name, its corners, and whether it is difficult."""
    path.parent.mkdir(parents=True, exist_ok=True)
    text = f'<filename>{filename}</filename>'
    text += f'<size><width>{size[0]}</width><height>{size[1]}</height><depth>3</depth></size>'
    for name, corners, *difficult in objects:
        box = ''.join(
            f'<{key}>{value}</{key}>'
            for key, value in zip(('xmin', 'ymin', 'xmax', 'ymax'), corners, strict=True)
        )
        text += f'<object><name>{name}</name><bndbox>{box}</bndbox>'
        text += f'<difficult>{int(bool(difficult))}</difficult></object>'
    path.write_text(f'<annotation>{text}</annotation>')


@pytest.fixture
def voc(tmp_path):
    """A function that reads objects of one picture, written as VOC does."""

    def read(*objects, size=SIZE, **settings):
        picture(tmp_path / 'images/a.png')
        xml(tmp_path / 'xml/a.xml', *objects, size=size)
        return read_voc(tmp_path / 'xml', tmp_path / 'images', **settings)

    return read


@pytest.mark.parametrize(
    ('corners', 'first_pixel', 'bbox'),
    [
        ((1, 1, 40, 30), None, [0, 0, 40, 30]),  # of VOC: the first and the last pixel
        ((5, 6, 9, 8), None, [4, 5, 5, 3]),
        ((0, 6, 9, 30), None, [0, 6, 9, 24]),
        ((5, 6, 9, 8), 0, [5, 6, 4, 2]),
        ((5.5, 6, 9.5, 8), None, [4.5, 5, 5, 3]),
        ((1, 1, 41, 30), None, [0, 0, 40, 30]),  # a pixel outside is rounding
    ],
)
def test_box_counts_pixels_as_coco_does(corners, first_pixel, bbox, voc):
    (one,), classes, _, _ = voc(('cat', corners), first_pixel=first_pixel)
    assert classes == ['cat']
    assert one.objects[0]['bbox'] == bbox
    assert one.objects[0]['area'] == bbox[2] * bbox[3]


def test_difficult_object_is_a_crowd(voc):
    (one,), *_ = voc(('cat', (1, 1, 9, 9)), ('cat', (11, 11, 19, 19), True))
    assert [found['iscrowd'] for found in one.objects] == [0, 1]


@pytest.mark.parametrize(
    ('corners', 'said'),
    [
        ((1, 1, 60, 20), 'reaches out of 40 x 30 pixels'),
        ((20, 1, 10, 20), 'ends before it begins'),
        (('', 1, 10, 20), "bndbox/xmin='' must be a number"),
        (('nan', 1, 10, 20), "bndbox/xmin='nan' must be a number"),
    ],
)
def test_box_that_is_none_is_named(corners, said, voc):
    with pytest.raises(ValueError, match=f'1 annotations are wrong.*\n.*a\\.[a-z]*: .*{said}'):
        voc(('cat', corners))


def test_other_size_than_that_of_the_picture_is_named(voc):
    objects = ('cat', (1, 1, 9, 9))
    with pytest.raises(ValueError, match='gives 30 x 40 pixels, but .*a.png has 40 x 30'):
        voc(objects, size=(30, 40))
    (one,), *_ = voc(objects, size=(30, 40), any_size=True)
    assert (one.width, one.height) == SIZE
    voc(objects, size=(0, 0))  # many tools write that


def test_size_is_that_of_the_picture_turned_upright(tmp_path):
    exif = Image.Exif()
    exif[0x0112] = 6
    picture(tmp_path / 'images/a.jpg', exif=exif)
    xml(tmp_path / 'xml/a.xml', ('cat', (1, 1, 9, 9)))
    with pytest.raises(ValueError, match='has 30 x 40; turned by EXIF'):
        read_voc(tmp_path / 'xml', tmp_path / 'images')


def test_file_belongs_to_the_picture_of_its_name(tmp_path):
    for name in ('images/deep/a.JPG', 'images/b.png', 'images/c.png', 'images/e.png'):
        picture(tmp_path / name, format='PNG')
    xml(tmp_path / 'xml/a.xml', filename='C:\\\\data\\\\b.png')
    xml(tmp_path / 'xml/0001.xml', filename='c.png')
    pictures, *_, said = read_voc(tmp_path / 'xml', tmp_path / 'images')
    assert sorted(one.path.name for one in pictures) == ['a.JPG', 'c.png']
    assert any('2 pictures: b.png, e.png' in line for line in said)
    xml(tmp_path / 'xml/d.xml', filename='d.png')
    with pytest.raises(ValueError, match="no pictures are called 'd'"):
        read_voc(tmp_path / 'xml', tmp_path / 'images')


def test_objects_of_other_classes_are_left_out_and_counted(voc):
    found = [('cat', (1, 1, 9, 9)), ('dog', (1, 1, 9, 9)), ('cat', (1, 1, 5, 5))]
    (one,), classes, _, said = voc(*found, classes=['dog'])
    assert (len(one.objects), classes) == (1, ['dog'])
    assert any("('cat', 2)" in line for line in said)


def write_mask(path, values, mode=np.uint8):
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(np.asarray(values).astype(mode)).save(path)


def disc_and_square():
    values = np.zeros(SIZE[::-1], int)
    values[3:8, 4:10] = 1
    values[20:25, 30:33] = 2
    return values


def decoded(picture):
    return [
        (one['name'], coco_mask.decode(one['segmentation']).astype(bool)) for one in picture.objects
    ]


@pytest.mark.parametrize('kind', ['uint8', 'uint16', 'grey in colour', 'colours', 'palette'])
def test_each_value_is_an_object(kind, tmp_path):
    values = disc_and_square()
    picture(tmp_path / 'images/a.png')
    path = tmp_path / 'masks/a_mask.png'
    if kind == 'uint16':
        write_mask(path, values * 300, np.uint16)
    elif kind == 'grey in colour':
        write_mask(path, np.stack([values] * 3, 2))
    elif kind == 'colours':
        write_mask(path, np.array([[0, 0, 0], [0, 9, 9], [9, 9, 0]])[values])
    else:
        write_mask(path, values)
        if kind == 'palette':
            image = Image.open(path)
            image.putpalette([0, 0, 0, 9, 9, 9, 200, 9, 9])
            image.save(path)
    (one,), *_ = read_masks(f'{tmp_path}/images', f'{tmp_path}/masks/{{stem}}_mask.png', ['cell'])
    masks = dict(enumerate(mask for _, mask in decoded(one)))
    assert len(masks) == 2
    for number in (1, 2):
        assert any((mask == (values == number)).all() for mask in masks.values())
    boxes = sorted(found['bbox'] for found in one.objects)
    assert boxes == [[4, 3, 6, 5], [30, 20, 3, 5]]
    assert sorted(found['area'] for found in one.objects) == [15, 30]


def test_each_file_is_an_object_where_a_picture_has_several(tmp_path):
    values = disc_and_square()
    for name, mask in (('a', values > 0), ('b', values == 1)):
        picture(tmp_path / f'{name}/images/{name}.png')
        write_mask(tmp_path / f'{name}/masks/1.png', mask * 255)
    write_mask(tmp_path / 'a/masks/2.png', (values == 2) * 200)
    pattern = f'{tmp_path}/{{stem}}/masks/*.png'
    pictures, _, root, _ = read_masks(f'{tmp_path}/*/images/*.png', pattern, ['nucleus'])
    assert root == tmp_path
    assert [len(one.objects) for one in pictures] == [2, 1]
    assert (decoded(pictures[0])[0][1] == (values > 0)).all()


def test_connected_regions_of_classes_are_objects(tmp_path):
    values = disc_and_square()
    values[3:8, 20:25] = 1
    values[0, 0] = 255
    picture(tmp_path / 'images/a.png')
    write_mask(tmp_path / 'masks/a.png', values)
    folders = (f'{tmp_path}/images', f'{tmp_path}/masks')
    (one,), *_ = read_masks(*folders, ['peg', 'hole'], 'classes')
    assert [name for name, _ in decoded(one)] == ['peg', 'peg', 'hole']
    write_mask(tmp_path / 'masks/a.png', values * 2)
    with pytest.raises(ValueError, match=r'no class has the values 4, 254?.*; allowed: 0 .*2'):
        write_mask(tmp_path / 'masks/a.png', np.where(values == 255, 254, values * 2))
        read_masks(*folders, ['peg', 'hole'], 'classes')


def test_class_may_stand_in_the_path(tmp_path):
    picture(tmp_path / 'images/a.png')
    for number, name in enumerate(('peg', 'hole'), start=1):
        write_mask(tmp_path / f'{name}/a.png', (disc_and_square() == number) * 255)
    pattern = f'{tmp_path}/{{class}}/{{stem}}.png'
    (one,), *_ = read_masks(f'{tmp_path}/images', pattern, ['peg', 'hole'])
    assert [name for name, _ in decoded(one)] == ['peg', 'hole']
    with pytest.raises(ValueError, match='tell 2 classes apart: put {class} into their paths'):
        read_masks(f'{tmp_path}/images', f'{tmp_path}/peg', ['peg', 'hole'])


def test_masks_that_tell_no_objects_are_named(tmp_path):
    images, masks = tmp_path / 'images', tmp_path / 'masks'
    for name in ('size', 'smooth', 'jpeg', 'good'):
        picture(images / f'{name}.png')
    write_mask(masks / 'good.png', disc_and_square())
    write_mask(masks / 'size.png', disc_and_square().T)
    smooth = np.zeros(SIZE[::-1])
    smooth.ravel()[:250] = np.arange(250)
    write_mask(masks / 'smooth.png', smooth)
    Image.fromarray(disc_and_square().astype(np.uint8)).save(masks / 'jpeg.jpg')
    with pytest.raises(ValueError, match='3 masks are wrong') as caught:
        read_masks(str(images), str(masks), ['cell'])
    for said in ('30 x 40 pixels; its picture', 'smoothed edges', 'JPEG changes values'):
        assert said in str(caught.value)


def test_no_mask_at_all_is_named_with_the_place_where_it_would_be(tmp_path):
    picture(tmp_path / 'a[1].png')
    with pytest.raises(FileNotFoundError, match=r'would be .*masks/a\[\[\]1\]\.\*'):
        read_masks(str(tmp_path), f'{tmp_path}/masks', ['cell'])


def test_command_writes_files_that_mmdet_reads(tmp_path, capsys):
    for name in 'abcdefghij':
        picture(tmp_path / f'images/{name}.png')
        xml(tmp_path / f'xml/{name}.xml', ('dog', (1, 1, 9, 9)), ('cat', (1, 1, 5, 5)))
    folders = [str(tmp_path / 'xml'), str(tmp_path / 'images')]
    voc_to_coco.main([*folders, '--out-dir', str(tmp_path / 'coco')])
    assert "metainfo = dict(classes=('cat', 'dog'))" in capsys.readouterr().out
    files = {
        part: json.loads((tmp_path / f'coco/{part}.json').read_text()) for part in ('train', 'val')
    }
    names = {
        part: {one['file_name'] for one in content['images']} for part, content in files.items()
    }
    assert [len(names[part]) for part in ('train', 'val')] == [8, 2]
    assert not names['train'] & names['val']
    for content in files.values():
        assert [one['name'] for one in content['categories']] == ['cat', 'dog']
        assert content['annotations'][0]['id'] == 1
        assert {one['category_id'] for one in content['annotations']} == {1, 2}


def test_lists_name_the_pictures_of_each_file(tmp_path, capsys):
    for name in 'abc':
        picture(tmp_path / f'images/{name}.png')
        write_mask(tmp_path / f'masks/{name}.png', disc_and_square())
    (tmp_path / 'first.txt').write_text('a  1\nc.png\n')
    (tmp_path / 'second.txt').write_text('\ufeffb\n')
    command = [f'{tmp_path}/images', f'{tmp_path}/masks', '--classes', 'cell']
    command += ['--out-dir', str(tmp_path / 'coco'), '--lists']
    masks_to_coco.main([*command, str(tmp_path / 'first.txt'), str(tmp_path / 'second.txt')])
    for part, names in (('first', ['a.png', 'c.png']), ('second', ['b.png'])):
        content = json.loads((tmp_path / f'coco/{part}.json').read_text())
        assert [one['file_name'] for one in content['images']] == names
        assert len(content['annotations']) == 2 * len(names)
    (tmp_path / 'first.txt').write_text('z\n')
    with pytest.raises((UserError, OSError), match='names 1 pictures that are not there: z'):
        masks_to_coco.main([*command, str(tmp_path / 'first.txt')])


def test_without_a_share_all_is_for_training():
    assert parts_of(['one'], [], Fraction(0)) == {'train': ['one']}
