"""The split depends on names alone; manifests hold it and are what they say."""

import json
import random
from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mmrsir.datasets.converters.caltech256 import CALTECH256
from mmrsir.datasets.converters.miniimagenet import MINIIMAGENET
from mmrsir.datasets.splits import fold, read_manifest, split_images, unfold, write_manifest

from ..helpers.commands import ROOT

FIFTH = Fraction(1, 5)
PUBLISHED = {'caltech256': CALTECH256, 'miniimagenet': MINIIMAGENET}


def numbered(count):
    return [f'001_{number:04d}.jpg' for number in range(1, count + 1)]


def split_of(names, **options):
    return split_images('test', {'001.ak47': names}, FIFTH, **options)


def published(name):
    return read_manifest(ROOT / f'tools/dataset_converters/splits/{name}.json')


@pytest.mark.parametrize(('count', 'val'), [(1, 0), (2, 0), (3, 1), (7, 1), (8, 2), (98, 20)])
def test_each_class_gives_its_share_rounded_half_up(count, val):
    assert split_of(numbered(count)).num_val == val


def test_half_an_image_is_rounded_up():
    assert split_images('test', {'a': ['1', '2', '3']}, Fraction(1, 2)).num_val == 2


def test_the_rule_is_pinned():
    assert split_of(numbered(12)).val['001.ak47'] == ('001_0003.jpg', '001_0005.jpg')


def test_order_of_names_does_not_matter():
    names = numbered(50)
    shuffled = random.Random(1).sample(names, len(names))
    assert split_of(shuffled) == split_of(names)


def test_classes_and_seeds_have_splits_of_their_own():
    names = numbered(50)
    split = split_images('test', {'a': names, 'b': names}, FIFTH)
    assert split.val['a'] != split.val['b']
    assert split_of(names, seed=1).val != split_of(names).val


@pytest.mark.parametrize('count', range(20, 40))
def test_one_more_image_moves_at_most_one_other(count):
    names = numbered(count)
    before, after = (set(split_of(n).val['001.ak47']) for n in (names, [*names, 'new.jpg']))
    assert len((before ^ after) - {'new.jpg'}) <= 1


@pytest.mark.parametrize('share', [0, 1, Fraction(-1, 5)])
def test_a_share_that_is_none_is_refused(share):
    with pytest.raises(ValueError, match='val_share=.* must be between 0 and 1'):
        split_images('test', {'a': ['1']}, share)


@given(st.sets(st.text(alphabet='a019-,._ ]é٣', min_size=1, max_size=9)))
def test_folded_names_unfold_to_the_same(names):
    assert unfold(fold(names)) == sorted(names)


def test_consecutive_numbers_are_folded_to_one_range():
    assert fold(numbered(98)) == ['001_[0001-0098].jpg']


def test_a_name_that_looks_folded_is_refused(tmp_path):
    split = split_of(['cat[1].jpg'])
    with pytest.raises(ValueError, match=r'cat\[1\]\.jpg'):
        write_manifest(tmp_path / 'manifest.json', split)
    assert not list(tmp_path.iterdir())


def test_manifest_gives_back_the_split(tmp_path):
    split = split_images('test', {'a': numbered(30), 'b': ['x.jpg', 'y 2.PNG', '7']}, FIFTH, seed=3)
    write_manifest(tmp_path / 'new/manifest.json', split)
    assert read_manifest(tmp_path / 'new/manifest.json') == split


@pytest.fixture
def manifest(tmp_path):
    path = tmp_path / 'manifest.json'
    write_manifest(path, split_of(numbered(30)))
    return path


@pytest.mark.parametrize('text', ['', '[]', '{"classes": {}}', '{"classes": {"a": 1}}'])
def test_a_file_that_is_no_manifest_is_refused(manifest, text):
    manifest.write_text(text)
    with pytest.raises(ValueError, match=f'{manifest.name} is no manifest'):
        read_manifest(manifest)


@pytest.mark.parametrize('key', ['images', 'val'])
def test_a_manifest_with_a_changed_name_is_refused(manifest, key):
    content = json.loads(manifest.read_text())
    content['classes']['001.ak47'][key].append('other.jpg')
    manifest.write_text(json.dumps(content))
    with pytest.raises(ValueError, match='is damaged: its names'):
        read_manifest(manifest)


@pytest.mark.parametrize('name', PUBLISHED)
def test_published_split_is_that_of_the_rule(name):
    image_set = PUBLISHED[name]
    split = published(name)
    assert split == split_images(image_set.name, split.images, image_set.val_share)


def test_published_names_of_caltech256_are_numbers_without_a_gap():
    split = published('caltech256')
    assert [label[:4] for label in split.classes] == [f'{n:03d}.' for n in range(1, 257)]
    for label, names in split.images.items():
        assert list(names) == [f'{label[:3]}_{n:04d}.jpg' for n in range(1, len(names) + 1)]
    assert min(map(len, split.images.values())) == 80


def test_published_classes_of_miniimagenet_have_500_and_100_images():
    split = published('miniimagenet')
    for label, names in split.images.items():
        assert all(name.startswith(label) for name in names)
        assert (len(names), len(split.val[label])) == (600, 100)
