"""Broken images are found, whichever way they are broken, and cost nothing but themselves."""

import io
import os
import random
import signal
import time
from functools import partial
from multiprocessing import get_context
from pathlib import Path

import numpy as np
import pytest
from mmengine.config import ConfigDict
from PIL import Image
from skimage import data

from mmrsir.datasets.check import images
from mmrsir.datasets.check.faults import Inspection
from mmrsir.datasets.check.findings import Report
from mmrsir.datasets.check.images import inspect_image as inspect
from mmrsir.datasets.check.images import inspect_label_map
from mmrsir.datasets.check.processes import Inspector
from mmrsir.datasets.loading.reading import Reading

from ..helpers.checked_sets import InProcess

inspect_image = partial(inspect, reading=Reading())
ENCODINGS = {
    'baseline': dict(format='JPEG', quality=90),
    'progressive': dict(format='JPEG', quality=90, progressive=True),
    'png': dict(format='PNG'),
}


def encode(encoding, **more):
    """The bytes of a photograph of 96 x 72 pixels."""
    file = io.BytesIO()
    Image.fromarray(data.astronaut()).resize((96, 72)).save(file, **ENCODINGS[encoding], **more)
    return file.getvalue()


def flip_bit(content, bit):
    flipped = bytearray(content)
    flipped[bit // 8] ^= 1 << bit % 8
    return bytes(flipped)


def is_running(process):
    status = Path(f'/proc/{process}/stat')  # one that has ended may still be listed
    return status.exists() and status.read_text().rpartition(')')[2].split()[0] != 'Z'


def pillow_refuses(content):
    try:
        with Image.open(io.BytesIO(content)) as image:
            image.load()
    except Exception:
        return True
    return False


@pytest.fixture
def kinds(tmp_path):
    """The kinds of faults of a file with some content."""

    def kinds(content, name='image.jpg'):
        path = tmp_path / name
        path.write_bytes(content)
        inspection = inspect_image(str(path))
        assert all(fault.path == inspection.path == str(path) for fault in inspection.faults)
        return [fault.kind for fault in inspection.faults]

    return kinds


@pytest.fixture
def inspector():
    return Inspector(workers=2, seconds=30.0)


@pytest.mark.parametrize('encoding', ENCODINGS)
def test_whole_image_has_its_size_and_no_fault(tmp_path, encoding):
    path = tmp_path / f'image.{"png" if encoding == "png" else "jpg"}'
    path.write_bytes(encode(encoding))
    inspection = inspect_image(str(path))
    assert inspection == Inspection(str(path), (96, 72), digest=inspection.digest)


@pytest.mark.parametrize('encoding', ENCODINGS)
def test_image_cut_anywhere_is_found(kinds, encoding):
    content = encode(encoding)
    name = 'image.png' if encoding == 'png' else 'image.jpg'
    cuts = [1, 2, 20, 160, len(content) // 4, len(content) // 2, -2000, -100, -13, -3, -2, -1]
    for cut in cuts:
        assert kinds(content[:cut], name) in (['damaged'], ['not-an-image']), cut
    assert kinds(content[:-2000], name) == ['damaged']


def test_every_flipped_bit_of_png_is_found_up_to_its_last_pixel(kinds):
    content, generator = encode('png'), random.Random(0)
    for _ in range(100):
        bit = generator.randrange(content.rindex(b'IEND') * 8)
        assert kinds(flip_bit(content, bit), 'image.png'), bit


def test_superfluous_bytes_of_jpeg_are_a_warning(kinds, capfd):
    content = encode('baseline')
    assert kinds(content[:-2] + bytes(9) + content[-2:]) == ['superfluous']
    assert capfd.readouterr().err == ''


@pytest.mark.parametrize('encoding', ['baseline', 'progressive'])
def test_more_flipped_bits_of_jpeg_are_found_than_pillow_refuses(kinds, encoding):
    content, generator = encode(encoding), random.Random(0)
    found = refused = 0
    for _ in range(200):
        flipped = flip_bit(content, generator.randrange(len(content) * 8))
        is_found, is_refused = bool(kinds(flipped)), pillow_refuses(flipped)
        assert is_found or not is_refused
        found, refused = found + is_found, refused + is_refused
    assert found >= 30 > refused  # most flips leave a valid JPEG


@pytest.mark.parametrize(
    ('content', 'kind'),
    [
        (b'', 'empty-file'),
        (b'<html>not found</html>', 'not-an-image'),
        (b'version https://git-lfs.github.com/spec/v1\n', 'not-an-image'),
        (encode('png'), 'wrong-suffix'),
    ],
)
def test_what_is_no_jpeg_under_the_name_of_one_is_found(kinds, content, kind):
    assert kinds(content) == [kind]


def test_harmless_words_of_libjpeg_are_no_fault(kinds):
    content = encode('baseline')
    assert content[6:12] == b'JFIF\0\x01'
    assert kinds(content[:11] + b'\x05' + content[12:]) == []  # an unknown revision of JFIF


def test_missing_file_folder_and_pipe_are_found(tmp_path):
    os.mkfifo(tmp_path / 'pipe.jpg')
    (tmp_path / 'folder.jpg').mkdir()
    (tmp_path / 'link.jpg').symlink_to(tmp_path / 'nowhere.jpg')
    expected = {
        'none.jpg': 'missing-file',
        'link.jpg': 'missing-file',
        'pipe.jpg': 'unreadable',
        'folder.jpg': 'unreadable',
        'null\0.jpg': 'unreadable',
    }
    for name, kind in expected.items():
        assert [fault.kind for fault in inspect_image(f'{tmp_path}/{name}').faults] == [kind]


def test_file_without_permission_is_found(tmp_path, monkeypatch):
    def refuse(path):
        raise PermissionError(13, 'Permission denied', str(path))

    (tmp_path / 'image.jpg').write_bytes(encode('baseline'))
    monkeypatch.setattr(images.Path, 'read_bytes', refuse)
    (fault,) = inspect_image(str(tmp_path / 'image.jpg')).faults
    assert fault.kind == 'unreadable' and 'Permission denied' in fault.detail


@pytest.mark.parametrize('mode', ['L', 'P'])
def test_labels_of_a_map_are_its_bytes(tmp_path, mode):
    labels = np.array([[0, 1, 5], [255, 5, 7]], np.uint8)
    image = Image.fromarray(labels)
    if mode == 'P':
        image = image.copy()
        image.putpalette(list(range(255, -1, -1)) * 3)
    image.save(tmp_path / 'map.png')
    path = str(tmp_path / 'map.png')
    expected = Inspection(path, (3, 2), values={0: 1, 1: 1, 5: 2, 7: 1, 255: 1})
    assert inspect_label_map(path, None) == expected
    assert inspect_label_map(path, frozenset({0, 1, 5, 7, 255})) == expected
    (fault,) = inspect_label_map(path, frozenset({0, 5})).faults
    assert (fault.kind, fault.detail) == (
        'label-range',
        'no class has 1, 7, 255; allowed: 0 to 0, and 5 for no class',
    )


def test_every_file_is_inspected_once(inspector):
    paths = [str(number) for number in range(50)]
    found = [inspection.path for inspection in inspector.inspect(Inspection, paths, 'numbers')]
    assert sorted(found) == sorted(paths)


def test_file_that_ends_its_process_is_named(inspector):
    def inspect(path):
        if path in ('3', '4', '9'):
            os.kill(os.getpid(), signal.SIGKILL)
        return Inspection(path)

    found = list(inspector.inspect(inspect, list('0123456789'), 'numbers'))
    assert sorted(inspection.path for inspection in found) == list('0123456789')
    faults = {fault.path: fault for inspection in found for fault in inspection.faults}
    assert sorted(faults) == ['3', '4', '9']
    assert {(fault.kind, fault.detail) for fault in faults.values()} == {('crash', 'SIGKILL')}


def test_file_that_takes_too_long_is_named():
    def inspect(path):
        time.sleep(1000 if path == '3' else 0)
        return Inspection(path)

    inspector = Inspector(workers=2, seconds=3.0)
    found = list(inspector.inspect(inspect, list('0123456789'), 'numbers'))
    assert sorted(inspection.path for inspection in found) == list('0123456789')
    (fault,) = (fault for inspection in found for fault in inspection.faults)
    assert (fault.kind, fault.path) == ('hang', '3')


def test_processes_end_soon_after_their_parent(inspector, tmp_path):
    def inspect(path):
        (tmp_path / f'{os.getpid()}.pid').touch()
        time.sleep(0.1)
        return Inspection(path)

    def inspect_many():
        list(inspector.inspect(inspect, list(map(str, range(10_000))), 'numbers'))

    parent = get_context('fork').Process(target=inspect_many)
    parent.start()
    while len(workers := list(tmp_path.glob('*.pid'))) < 2:
        time.sleep(0.05)
    parent.kill()
    parent.join()
    end = time.monotonic() + 20
    while any(is_running(worker.stem) for worker in workers):
        assert time.monotonic() < end
        time.sleep(0.05)


def test_no_process_outlives_the_inspection(inspector):
    started = []

    def inspect(path):
        return Inspection(str(os.getpid()))

    for inspection in inspector.inspect(inspect, list('0123456789'), 'numbers'):
        started.append(int(inspection.path))
        if len(started) == 3:
            break
    assert not any(map(is_running, started))


def test_images_of_fewer_bits_than_their_type_are_named(tmp_path):
    def found(*tops):
        paths = [str(tmp_path / f'{number}.png') for number in range(len(tops))]
        for path, top in zip(paths, tops, strict=True):
            Image.fromarray(np.linspace(0, top, 64, dtype=np.uint16).reshape(8, 8)).save(path)
        report = Report(None, ConfigDict(), ['train'])
        images.check_images(report, InProcess(), paths, str(tmp_path))
        return report.faults

    (fault,) = found(4000, 4000)
    assert fault.kind == 'value-range' and 'value_range=(0, 4095)' in fault.detail
    assert not found(65535, 65535)
    (fault,) = found(65535, 4000)
    assert fault.kind == 'dark' and '1 of the 2 images of uint16' in fault.detail
    assert '1.png' in fault.detail
