"""A packed data set is the same list of images, and the training images are nearly the same."""

import numpy as np
import pack_images
import pytest
from PIL import Image

from mmrsir.datasets.converters import tiny_imagenet
from mmrsir.utils.errors import UserError

from ..helpers import image_trees


@pytest.fixture(scope='module')
def converted(tmp_path_factory):
    root = tmp_path_factory.mktemp('data')
    tiny_imagenet.convert(image_trees.tiny_imagenet(root / 'tiny-imagenet-200'), root / 'converted')
    return root / 'converted'


@pytest.fixture(autouse=True)
def small_mosaics(monkeypatch):
    """Mosaics of four, so that few images make several."""
    monkeypatch.setattr(pack_images, 'SIDE', 2)


def pixels(listed):
    return np.stack([np.asarray(Image.open(path).convert('RGB')) for path, _ in listed]).astype(int)


def test_what_is_unpacked_is_what_was_packed(converted, tmp_path, capsys):
    packs, out = tmp_path / 'packs', tmp_path / 'out'
    pack_images.main(['pack', str(converted), str(packs), '--max-mib', '1', '--parts', '2'])
    said = capsys.readouterr().out
    parts = sorted(packs.iterdir())
    sizes = [sum(path.stat().st_size for path in part.iterdir()) for part in parts]
    assert len(parts) == 2 and min(sizes) > 0 and f'{max(sizes) / 2**20:.1f}' in said
    with pytest.raises((UserError, OSError), match='files are missing: train_'):
        pack_images.main(['unpack', str(parts[0]), '--out', str(out)])
    pack_images.main(['unpack', *map(str, reversed(parts)), '--out', str(out)])
    for split in ('train', 'val'):
        before, after = (pack_images.read_list(root, split) for root in (converted, out))
        assert [label for _, label in before] == [label for _, label in after]
        difference = np.abs(pixels(before) - pixels(after)).mean((1, 2, 3))
        assert difference.max() < (8 if split == 'train' else 1e-9)
    classes = [(root / 'meta/classes.txt').read_text() for root in (converted, out)]
    assert classes[0] == classes[1]
    with pytest.raises((UserError, OSError), match='holds a data set already'):
        pack_images.main(['unpack', *map(str, parts), '--out', str(out)])


def test_quality_follows_the_size(converted, tmp_path, capsys):
    found = []
    for size in (0.04, 0.2):
        out = tmp_path / str(size)
        pack_images.main(['pack', str(converted), str(out), '--max-mib', str(size)])
        found.append(int(capsys.readouterr().out.partition('quality ')[2].partition(',')[0]))
        assert sum(path.stat().st_size for path in (out / 'part1').iterdir()) <= size * 2**20
    assert found[0] < found[1]


def test_what_does_not_fit_is_refused(converted, tmp_path):
    with pytest.raises(
        (UserError, OSError), match=r'--max-mib=0.001 is too little: .*exact.tar.xz alone'
    ):
        pack_images.main(['pack', str(converted), str(tmp_path / 'out'), '--max-mib', '0.001'])
