"""Boxes in XML files and pictures of masks become the COCO files that they mean."""

import json
import re
from fractions import Fraction

import numpy as np
import pytest
from PIL import Image
from pycocotools import mask as coco_mask

from mmrsir.datasets.converters.coco_files import LabelledImage, parts_of
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


def test_linked_folders_give_each_picture_and_each_mask_once(tmp_path):
    for folder, link in (('images', 'all'), ('images', 'b'), ('xml', 'b'), ('masks', 'b')):
        (tmp_path / folder / 'a').mkdir(parents=True, exist_ok=True)
        (tmp_path / folder / link).symlink_to('a')
    picture(tmp_path / 'images/a/1.png')
    xml(tmp_path / 'xml/a/1.xml', ('cat', (1, 1, 9, 9)))
    mask = np.zeros((30, 40), np.uint8)
    mask[3:9, 3:9] = 1
    Image.fromarray(mask).save(tmp_path / 'masks/a/1.png')
    (of_xml,), *_ = read_voc(tmp_path / 'xml', tmp_path / 'images')
    masks = f'{tmp_path}/masks/**/{{stem}}.png'
    (of_mask,), *_ = read_masks(f'{tmp_path}/images/**/*.png', masks, ['cat'])
    for one in (of_xml, of_mask):
        assert (len(one.objects), one.path) == (1, tmp_path / 'images/a/1.png')


@pytest.mark.parametrize(
    ('named', 'there'),
    [('img1', 'IMG1.JPG'), ('a%20b', 'a b.png'), ('\u00e9', 'e\u0301.png'), ('a', 'a .png')],
)
def test_picture_whose_name_is_written_in_another_way_is_found(named, there, tmp_path):
    picture(tmp_path / 'images' / there, format='PNG')
    xml(tmp_path / f'xml/{named}.xml', ('cat', (1, 1, 9, 9)))
    (one,), *_ = read_voc(tmp_path / 'xml', tmp_path / 'images')
    assert one.path.name == there


@pytest.mark.parametrize('encoding', ['gb2312', 'utf-16', 'utf-8-sig'])
def test_encodings_and_name_spaces_of_xml_are_read(encoding, tmp_path):
    picture(tmp_path / 'images/a.png')
    path = tmp_path / 'xml/a.xml'
    xml(path, ('狗', (1, 1, 9, 9)))
    text = path.read_text('utf-8').replace('<annotation>', '<annotation xmlns="http://voc">')
    declared = 'utf-8' if encoding == 'utf-8-sig' else encoding
    path.write_bytes(f'<?xml version="1.0" encoding="{declared}"?>{text}'.encode(encoding))
    _, classes, *_ = read_voc(tmp_path / 'xml', tmp_path / 'images')
    assert classes == ['狗']


@pytest.mark.parametrize(
    ('content', 'said'),
    [
        (b'<annotations/>', 'its root is <annotations>, but VOC writes <annotation>'),
        (b'<annotation>\xf6</annotation>', 'the encoding of the file is not .* save it as UTF-8'),
        (b'<?xml version="1.0" encoding="foo"?><annotation/>', 'unknown encoding: foo'),
        (
            b'<annotation><object><name>x</name><polygon/></object></annotation>',
            'object 1 has no bndbox, but name, polygon',
        ),
    ],
)
def test_xml_that_holds_no_boxes_of_voc_is_named(content, said, tmp_path):
    picture(tmp_path / 'images/a.png')
    (tmp_path / 'xml').mkdir()
    (tmp_path / 'xml/a.xml').write_bytes(content)
    with pytest.raises(UserError, match=said):
        read_voc(tmp_path / 'xml', tmp_path / 'images')


def test_picture_of_two_xml_files_is_an_error(tmp_path):
    picture(tmp_path / 'images/a.png')
    for name in ('a', 'deep/a'):
        xml(tmp_path / f'xml/{name}.xml', ('cat', (1, 1, 9, 9)))
    (tmp_path / 'xml/._a.xml').write_bytes(b'\0')  # macOS leaves such files
    with pytest.raises(UserError, match=r'xml/a.xml is of .*a.png too: remove one'):
        read_voc(tmp_path / 'xml', tmp_path / 'images')


def test_file_of_two_bytes_is_no_picture(tmp_path):
    picture(tmp_path / 'images/a.png').write_bytes(b'xx')
    xml(tmp_path / 'xml/a.xml', ('cat', (1, 1, 9, 9)))
    with pytest.raises(UserError, match=r'a.png is not a picture'):
        read_voc(tmp_path / 'xml', tmp_path / 'images')


def test_parts_of_a_picture_are_no_pixels(voc):
    with pytest.raises(UserError, match='from 0 to 1, as parts of the picture'):
        voc(('cat', (0.1, 0.1, 0.5, 0.5)))


def test_classes_of_no_object_or_of_one_name_are_named(voc):
    box = (1, 1, 9, 9)
    with pytest.raises(UserError, match='no object is of the classes Cat; there are cat'):
        voc(('cat', box), classes=['Cat'])
    with pytest.raises(UserError, match='must be different names'):
        voc(('cat', box), classes=['cat', 'cat'])
    *_, said = voc(('cat', box), ('dog', box), classes=['cat', 'Dog'])
    assert any("of the classes Dog; did you mean 'dog'?" in line for line in said)


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


def test_void_behind_numbered_objects_is_no_object(tmp_path):
    values = disc_and_square()
    values[10:12] = 255
    picture(tmp_path / 'images/a.png')
    write_mask(tmp_path / 'masks/a.png', values)
    (one,), *_, said = read_masks(f'{tmp_path}/images', f'{tmp_path}/masks', ['cell'])
    assert len(one.objects) == 2
    assert any('255 is the border of objects' in line for line in said)


def test_mask_without_background_is_named(tmp_path):
    picture(tmp_path / 'images/a.png')
    write_mask(tmp_path / 'masks/a.png', disc_and_square() + 3)
    *_, said = read_masks(f'{tmp_path}/images', f'{tmp_path}/masks', ['cell'])
    assert any('1 masks have no background, which is 0 or black: a.png' in line for line in said)


def test_colours_pages_and_transparency_are_no_numbers_of_classes(tmp_path):
    for name in ('colours', 'alpha'):
        picture(tmp_path / f'images/{name}.png')
    picture(tmp_path / 'images/pages.png')
    values = disc_and_square()
    red = np.array([[0, 0, 0], [255, 0, 0], [255, 0, 0]])[values]  # 255 would be of no class
    write_mask(tmp_path / 'masks/colours.png', red)
    white = np.full((*values.shape, 3), 255)
    write_mask(tmp_path / 'masks/alpha.png', np.dstack([white, values * 100]))
    page = Image.fromarray(values.astype(np.uint8))
    page.save(tmp_path / 'masks/pages.tif', save_all=True, append_images=[page])
    with pytest.raises(UserError, match='3 masks are wrong') as caught:
        read_masks(f'{tmp_path}/images', f'{tmp_path}/masks', ['peg', 'hole'], 'classes')
    for said in ('it is in colours', 'in the transparency', 'holds 2 pages'):
        assert said in str(caught.value)


def test_masks_without_any_object_are_an_error(tmp_path):
    picture(tmp_path / 'images/a.png')
    write_mask(tmp_path / 'masks/a.png', (disc_and_square() > 0) * 255)
    with pytest.raises(UserError, match='no mask holds an object'):
        read_masks(f'{tmp_path}/images', f'{tmp_path}/masks', ['peg', 'hole'], 'classes')


def test_mask_that_two_names_begin_belongs_to_the_longer(tmp_path):
    for name in ('a', 'a_1'):
        picture(tmp_path / f'images/{name}.png')
        write_mask(tmp_path / f'masks/{name}_0.png', disc_and_square())
        write_mask(tmp_path / f'masks/{name}_x.png', disc_and_square())
    pattern = f'{tmp_path}/masks/{{stem}}_*.png'
    pictures, *_, said = read_masks(f'{tmp_path}/images', pattern, ['cell'])
    assert [len(one.objects) for one in pictures] == [2, 2]
    assert any('2 masks match several pictures' in line for line in said)
    picture(tmp_path / 'images/a.jpg')
    with pytest.raises(UserError, match=r'belongs to .*a.(png|jpg) and to .*a.(png|jpg)'):
        read_masks(f'{tmp_path}/images', pattern, ['cell'])


def test_mask_whose_name_is_written_in_another_way_is_offered(tmp_path):
    picture(tmp_path / 'images/IMG_1.png')
    write_mask(tmp_path / 'masks/img_1.png', disc_and_square())
    with pytest.raises(FileNotFoundError, match=r'did you mean .*masks/img_1.png\?'):
        read_masks(f'{tmp_path}/images', f'{tmp_path}/masks', ['cell'])


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


def test_lists_that_name_nothing_or_two_things_are_errors(tmp_path):
    images = [LabelledImage(tmp_path / name, *SIZE, []) for name in ('a.png', 'b.png', 'b.jpg')]
    (tmp_path / 'deep').mkdir()
    for name, text in (
        ('empty', ''),
        ('case', 'A.png'),
        ('two', 'b'),
        ('one', 'a'),
        ('deep/one', 'a'),
    ):
        (tmp_path / f'{name}.txt').write_text(text)
    for names, said in (
        (['empty'], 'names no picture'),
        (['case'], "A.png; did you mean 'a.png'?"),
        (['two'], 'names what several pictures are called: b'),
        (['one', 'deep/one'], 'two lists are called one'),
    ):
        with pytest.raises(UserError, match=re.escape(said)):
            parts_of(images, [tmp_path / f'{name}.txt' for name in names], Fraction(0))


def test_pictures_without_any_object_are_an_error(tmp_path):
    picture(tmp_path / 'images/a.png')
    xml(tmp_path / 'xml/a.xml')
    folders = [f'{tmp_path}/xml', f'{tmp_path}/images', '--out-dir', f'{tmp_path}/coco']
    with pytest.raises(UserError, match='the 1 pictures of .* have no object'):
        voc_to_coco.main(folders)


def test_share_of_no_number_is_a_line(capsys):
    with pytest.raises(SystemExit):
        voc_to_coco.main(['xml', 'images', '--out-dir', 'coco', '--val-share', '1/0'])
    assert "invalid share value: '1/0'" in capsys.readouterr().err


def test_without_a_share_all_is_for_training():
    assert parts_of(['one'], [], Fraction(0)) == {'train': ['one']}
