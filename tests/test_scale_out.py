"""The page on large trainings: its example of images in one file works."""

import re

import pytest
from mmengine.registry import init_default_scope
from mmpretrain.registry import DATASETS
from torch import equal

from mmrsir.datasets.loading.images import MissingImageError
from mmrsir.engine.launch import read_config

from .helpers.commands import ROOT
from .helpers.image_trees import noise, save

pytest.importorskip('lmdb')
PAGE = (ROOT / 'docs/scale_out.md').read_text()


@pytest.fixture
def packed(tmp_path, monkeypatch):
    """The training set of the page's config, after its packing of six images."""
    monkeypatch.chdir(tmp_path)
    for seed, name in enumerate(('a/0', 'a/1', 'a/2', 'b/0', 'b/1', 'b/2')):
        save(noise((40, 30), seed=seed), tmp_path / f'data/imagenet/train/{name}.JPEG')
    pack, config = re.findall(r'```python\n(.*?)```', PAGE, re.DOTALL)
    exec(pack, {})
    path = tmp_path / 'rsir_t_in1k_lmdb.py'
    path.write_text(config)
    return read_config(str(path), None).train_dataloader.dataset


def read(settings, **changes):
    init_default_scope('mmpretrain')
    settings = dict(settings, **changes)
    settings['pipeline'] = [settings['pipeline'][0], dict(type='PackInputs')]
    return DATASETS.build(settings)


def test_images_of_a_database_equal_those_of_a_folder(packed):
    stored = read(packed)
    plain = [dict(type='LoadImageFromFile')]
    files = read(packed, data_prefix='data/imagenet/train', pipeline=plain)
    assert len(stored) == len(files) == 6
    for one, other in zip(stored, files, strict=True):
        assert equal(one['inputs'], other['inputs'])
        assert equal(one['data_samples'].gt_label, other['data_samples'].gt_label)


def test_an_image_that_the_database_lacks_is_named(packed, tmp_path):
    with open(tmp_path / 'data/imagenet_train.txt', 'a') as listing:
        listing.write('a/9.JPEG 0\n')
    with pytest.raises(MissingImageError, match=r'a/9.JPEG is no key of .*imagenet_train.lmdb'):
        read(packed)[6]
