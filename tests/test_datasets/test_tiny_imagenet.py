"""Tiny-ImageNet as it is distributed, in small, becomes what the configs read."""

import shutil

import pytest

from ..helpers.image_trees import counts, fails, images, noise, read, save, tiny_imagenet, tool

CONFIG = 'configs/cls/rsir_n_tinyimagenet.py'
main = tool('tiny_imagenet')


@pytest.fixture
def tree(tmp_path):
    return tiny_imagenet(tmp_path / 'tiny-imagenet-200')


def convert(source, out):
    main([str(source), f'--out-dir={out}', '--workers=2'])
    return out


def parts(out):
    return [images(read(CONFIG, part, out)) for part in ('train', 'val')]


def test_config_reads_the_published_split(tree, tmp_path):
    train, val = parts(convert(tree, tmp_path / 'out'))
    assert counts(train) == {0: 4, 1: 4, 2: 4}
    assert counts(val) == {0: 2, 1: 2, 2: 2}
    # Labels count the classes by their names: n01, n02, n03. The list begins with n02.
    assert train[str(tree / 'train/n01/images/n01_3.JPEG')] == 0
    assert val[str(tree / 'val/images/val_0.JPEG')] == 1


def test_classes_have_names_of_their_own(tree, tmp_path):
    out = convert(tree, tmp_path / 'out')
    assert (out / 'meta/classes.txt').read_text() == 'goldfish\ncrane, a bird\ncrane\n'


def test_duplicates_are_printed(tree, tmp_path, capsys):
    shutil.copy(tree / 'train/n01/images/n01_0.JPEG', tree / 'train/n02/images/n02_1.JPEG')
    shutil.copy(tree / 'train/n03/images/n03_2.JPEG', tree / 'val/images/val_4.JPEG')
    convert(tree, tmp_path / 'out')
    said = capsys.readouterr().out
    assert 'in one part (1, of which 1 under different classes): n01_0.JPEG = n02_1.JPEG' in said
    assert 'training and validation (1, of which 1 under different' in said
    assert 'n03_2.JPEG = val_4.JPEG' in said
    assert 'the whole set has 100000 + 10000 images of 200 classes' in said


def refused(tree, tmp_path):
    message = fails(lambda: convert(tree, tmp_path / 'out'))
    assert not (tmp_path / 'out').exists()
    return message


def test_broken_and_strange_images_are_named(tree, tmp_path):
    path = tree / 'train/n02/images/n02_2.JPEG'
    path.write_bytes(path.read_bytes()[:500])
    save(noise((32, 64)), tree / 'val/images/val_3.JPEG')
    message = refused(tree, tmp_path)
    assert 'images that are broken (2): ' in message and 'n02_2.JPEG (' in message
    assert 'val_3.JPEG (32 x 64 pixels; expected 64 x 64)' in message


def test_images_that_are_missing_or_not_listed_are_named(tree, tmp_path):
    (tree / 'val/images/val_5.JPEG').rename(tree / 'val/images/val_9.JPEG')
    message = refused(tree, tmp_path)
    assert 'missing validation images (1): val_5.JPEG\n' in message
    assert 'validation images in no list (1): val_9.JPEG\n' in message


def test_classes_that_are_missing_are_named(tree, tmp_path):
    (tree / 'train/n03').rename(tree / 'train/n04')
    message = refused(tree, tmp_path)
    assert 'missing training classes (1): n03\n' in message
    assert 'training classes in no list (1): n04\n' in message


def test_folder_without_a_list_of_classes_says_what_is_needed(tmp_path):
    (tmp_path / 'empty').mkdir()
    assert 'holds no wnids.txt. Needed is tiny-imagenet-200.zip' in refused(
        tmp_path / 'empty', tmp_path
    )
