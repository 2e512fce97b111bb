"""All readers of images see the same pixels, whatever the format, orientation and depth."""

import io

import cv2
import numpy as np
import pytest
from mmengine.config import Config
from PIL import Image

from mmrsir.apis.page import read_upload
from mmrsir.datasets import LoadImageFromFile
from mmrsir.datasets.check.images import inspect_image
from mmrsir.datasets.loading import images
from mmrsir.datasets.loading.decoding import decode_strictly
from mmrsir.datasets.loading.headers import orientation, turn
from mmrsir.datasets.loading.reading import BrokenImageError, Reading, ValueRangeError
from mmrsir.visualization.backbone import read_picture

SHADES = np.add.outer(np.arange(64) * 2, np.arange(96)).astype(np.uint8)
COLORS = np.stack([SHADES, 255 - SHADES, SHADES // 2], axis=-1)
TURNED = {3: (64, 96), 5: (96, 64), 6: (96, 64), 8: (96, 64), 2: (64, 96)}
LOSSLESS = {'PNG': {}, 'TIFF': {}, 'WEBP': dict(lossless=True, exact=True)}


def encode(form, picture=COLORS, **options):
    file = io.BytesIO()
    Image.fromarray(picture).save(file, form, **options)
    return file.getvalue()


def turned(form, stored, **options):
    exif = Image.Exif()
    exif[0x0112] = stored
    return encode(form, exif=exif, **options)


def tiff(values):
    return cv2.imencode('.tiff', values)[1].tobytes()


@pytest.mark.parametrize(
    'form', ['JPEG', 'PNG', 'BMP', 'GIF', 'TIFF', 'WEBP', 'AVIF', 'PPM', 'TGA', 'PCX', 'ICO']
)
def test_what_pillow_or_opencv_decodes_is_read(form):
    read = Reading().decode(encode(form))
    assert read.dtype == np.uint8
    if form != 'ICO':  # which is kept square
        assert np.abs(read[..., ::-1].astype(int) - COLORS).mean() < 5


@pytest.mark.parametrize('form', ['JPEG', 'PNG', 'TIFF', 'WEBP', 'AVIF'])
@pytest.mark.parametrize('stored', TURNED)
def test_every_format_is_turned_by_its_orientation_unless_that_is_ignored(form, stored):
    data = turned(form, stored, **LOSSLESS.get(form, {}))
    assert orientation(data) == stored
    upright, as_stored = Reading().decode(data), Reading('color_ignore_orientation').decode(data)
    assert upright.shape[:2] == TURNED[stored] and as_stored.shape[:2] == (64, 96)
    np.testing.assert_array_equal(upright, turn(as_stored, stored))
    if form in LOSSLESS:
        np.testing.assert_array_equal(as_stored[..., ::-1], COLORS)


@pytest.mark.parametrize('backend', ['cv2', 'pillow'])
@pytest.mark.parametrize('form', LOSSLESS)
def test_training_check_demo_and_page_see_the_same_pixels(form, backend, tmp_path):
    data, path = turned(form, 6, **LOSSLESS[form]), tmp_path / f'picture.{form.lower()}'
    path.write_bytes(data)
    loaded = LoadImageFromFile(imdecode_backend=backend)(dict(img_path=str(path)))['img']
    np.testing.assert_array_equal(read_picture(path), loaded[..., ::-1])
    assert inspect_image(str(path), Reading(backend=backend)).size == loaded.shape[1::-1]
    np.testing.assert_array_equal(read_upload(path, Reading()).pixels, loaded[..., ::-1])


def test_sixteen_bits_are_read_as_by_opencv_but_for_its_rounding_of_tiff():
    deep = np.random.default_rng(0).integers(0, 1 << 16, (64, 96, 3), dtype=np.uint16)
    for suffix in ('.png', '.tiff', '.jp2'):
        for values in (deep, deep[..., 0]):
            data = cv2.imencode(suffix, values)[1]
            expected = cv2.imdecode(data, cv2.IMREAD_COLOR)
            read = Reading().decode(data.tobytes())
            np.testing.assert_allclose(read, expected, atol=int(suffix == '.tiff'))


@pytest.mark.parametrize(
    ('values', 'value_range'),
    [
        (np.array([[0, 2048, 4095]], np.uint16), (0, 4095)),
        (np.array([[-1000, 0, 1000]], np.int16), (-1000, 1000)),
        (np.array([[0, 50, 100]], np.int32), (0, 100)),
        (np.array([[0, 0.5, 1]], np.float32), (0, 1)),
        (np.array([[np.nan, 0.5, 2]], np.float64), (0, 1)),
    ],
)
def test_value_range_becomes_0_to_255(values, value_range):
    read = Reading(value_range=value_range).decode(tiff(values))
    np.testing.assert_array_equal(read, np.array([[[0] * 3, [128] * 3, [255] * 3]], np.uint8))
    assert Reading('grayscale', value_range=value_range).decode(tiff(values)).shape == (1, 3)


def test_value_range_leaves_eight_bits_alone_and_floats_exact():
    data = encode('PNG')
    loaded = Reading(value_range=(0, 4095)).decode(data)
    np.testing.assert_array_equal(loaded, Reading().decode(data))
    exact = Reading(value_range=(0, 4095)).decode(tiff(np.array([[1]], np.uint16)), exact=True)
    assert exact.dtype == np.float32 and exact[0, 0, 0] == pytest.approx(255 / 4095)


@pytest.mark.parametrize(
    ('values', 'said'),
    [
        (np.array([[-1000, 2000]], np.int16), r'int16 from -1000 to 2000: .*=\(-1000, 2000\)'),
        (np.array([[69, 148]], np.int32), r'int32 from 69 to 148: .*value_range=\(0, 255\)'),
        (np.array([[0.25, 0.75]], np.float32), r'float32 from 0.25 to 0.75: .*\(0, 1\)'),
        (
            np.array([[0.25, np.nan]], np.float32),
            r'float32 from 0.25 to 0.25, some NaN or infinite',
        ),
    ],
)
def test_values_of_an_unknown_range_are_named_with_what_to_do(values, said, tmp_path):
    with pytest.raises(ValueRangeError, match=said):
        Reading().decode(tiff(values))
    (tmp_path / 'image.tiff').write_bytes(tiff(values))
    with pytest.raises(ValueRangeError, match=rf'image\.tiff: its pixels are {said}'):
        LoadImageFromFile(on_corrupt='skip')(dict(img_path=str(tmp_path / 'image.tiff')))
    (fault,) = inspect_image(str(tmp_path / 'image.tiff'), Reading()).faults
    assert fault.kind == 'value-range'


@pytest.mark.parametrize('value_range', [(1, 0), (0, float('inf')), (0, 0)])
def test_empty_value_range_is_refused(value_range):
    with pytest.raises(ValueError, match='lower number first'):
        LoadImageFromFile(value_range=value_range)


@pytest.mark.parametrize('value_range', [255, (0,), ('0', '1'), (0, 1, 2)])
def test_value_range_that_is_no_pair_is_refused(value_range):
    with pytest.raises(TypeError, match='must be two numbers'):
        LoadImageFromFile(value_range=value_range)


def test_damage_is_said_and_no_other_library_hides_it():
    for form in ('GIF', 'AVIF', 'TGA', 'TIFF'):
        with pytest.raises(BrokenImageError):
            Reading().decode(encode(form)[:-300])


def test_png_of_182_megapixels_is_whole(tmp_path):
    path = tmp_path / 'large.png'
    Image.new('1', (13500, 13500)).save(path)  # Pillow would refuse to open it
    inspection = inspect_image(str(path), Reading('grayscale'))
    assert (inspection.size, inspection.faults) == ((13500, 13500), ())


def test_config_says_how_its_images_are_read():
    pipeline = [dict(type='mmdet.LoadImageFromFile', value_range=[0, 1], color_type='grayscale')]
    wrapped = dict(type='RepeatDataset', dataset=dict(pipeline=pipeline))
    cfg = Config(dict(test_dataloader=None, val_dataloader=dict(dataset=wrapped)))
    assert Reading.of_config(cfg) == Reading(value_range=(0, 1))
    pipeline[0]['color_type'] = 'color_ignore_orientation'
    assert not Reading.of_config(Config(dict(train_dataloader=wrapped))).turns
    assert Reading.of_config(Config()) == Reading()


def test_picture_of_twelve_bits_in_sixteen_is_warned_of_in_every_tool(tmp_path, monkeypatch):
    said = []
    monkeypatch.setattr(images, 'print_log', lambda text, **_: said.append(text))
    images._warned.clear()
    path = str(tmp_path / 'dark.png')
    cv2.imwrite(path, np.full((8, 8, 3), 4000, np.uint16))
    read_picture(path)
    assert len(said) == 1 and 'nearly black' in said[0] and 'value_range=(0, 4095)' in said[0]
    images._warned.clear()
    LoadImageFromFile()(dict(img_path=path))
    assert len(said) == 2
    read_picture(path, reading=Reading(value_range=(0, 4095)))
    assert len(said) == 2


@pytest.mark.slow
def test_jpeg_of_more_pixels_than_pillow_likes_is_read_everywhere(tmp_path):
    path = tmp_path / 'sheet.jpg'
    size = (13500, 13500)  # 182 megapixels: Pillow refuses more than 179
    Image.new('L', size, 90).save(path)
    assert inspect_image(str(path), Reading()).faults == ()
    assert read_picture(path, max_size=64).shape == (64, 64, 3)
    assert decode_strictly(path.read_bytes()).size == size
