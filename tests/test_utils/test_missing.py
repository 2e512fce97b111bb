"""A path that does not exist gets the nearest that does, and the reason."""

import os
import unicodedata

import pytest

from mmrsir.utils import missing
from mmrsir.utils.missing import nearest


@pytest.fixture
def folder(tmp_path):
    for name in ('día uno/a.jpg', 'train_003.jpg', 'two words.jpg'):
        path = tmp_path / 'train' / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.touch()
    return tmp_path / 'train'


@pytest.mark.parametrize(
    ('name', 'there', 'reason'),
    [
        ('día uno\\a.jpg', 'día uno/a.jpg', 'not by a backslash'),
        (unicodedata.normalize('NFD', 'día uno/a.jpg'), 'día uno/a.jpg', 'NFC or NFD'),
        ('train_003.JPG', 'train_003.jpg', 'capital and small letters differ'),
        ('Train_003.jpg', 'train_003.jpg', 'capital and small letters differ'),
        ('d%C3%ADa%20uno/a.jpg', 'día uno/a.jpg', '%20 and its like'),
        ('two%20words.jpg', 'two words.jpg', '%20 and its like'),
        (' train_003.jpg', 'train_003.jpg', 'begins or ends with a blank'),
        ('train_003.jpg ', 'train_003.jpg', 'begins or ends with a blank'),
        ('train_003 .jpg', 'train_003.jpg', 'begins or ends with a blank'),
        ('train/train_003.jpg', 'train_003.jpg', 'a folder is named twice'),
        ('\ufefftrain_003.jpg', 'train_003.jpg', 'an invisible mark'),
        ('C:\\data\\Train_003.jpg', 'train_003.jpg', 'of another folder or computer'),
        ('/home/me/data/train_003.jpg', 'train_003.jpg', 'of another folder or computer'),
        ('train_003.png', 'train_003.jpg', ''),
        ('train_03.jpg', 'train_003.jpg', ''),
    ],
)
def test_nearest_name_and_reason_are_said(folder, name, there, reason):
    said = nearest(os.path.join(folder, name), folder)
    assert said.startswith(f'; did you mean {folder}/{there}?')
    assert reason in said and ('(' in said) == bool(reason)


def test_all_differences_are_named(folder):
    said = nearest(folder / 'D%C3%ADa%20uno\\a.JPG')
    for reason in ('backslash', '%20', 'capital'):
        assert reason in said
    assert 'blank' not in said and 'twice' not in said


def test_folder_that_is_missing_is_the_one_that_is_named(folder):
    assert nearest(folder.parent / 'trian/x/y.jpg') == f'; did you mean {folder}?'
    assert nearest(folder.parent / 'other/y.jpg') == ''


def test_several_alike_are_no_answer_and_new_files_are_seen(folder):
    assert 'capital' in nearest(folder / 'TRAIN_003.jpg')
    (folder / 'Train_003.jpg').touch()
    os.utime(folder, (1, 1))
    assert 'capital' not in nearest(folder / 'TRAIN_003.jpg')


def test_huge_folders_are_read_in_part_only(folder, monkeypatch):
    monkeypatch.setattr(missing, 'MAX_LISTED', 0)
    os.utime(folder, (2, 2))
    assert nearest(folder / 'train_03.jpg') == ''


@pytest.mark.parametrize('name', ['Día uno/', 'Día uno\\', '/Día uno//'])
def test_slashes_too_many_are_no_further_reasons(name, folder):
    said = nearest(f'{folder}/{name}')
    assert said.startswith(f'; did you mean {folder}/día uno?')
    assert 'capital and small' in said
    assert '%20' not in said


def test_a_link_to_a_file_in_place_of_a_folder_is_not_called_gone(tmp_path):
    (tmp_path / 'images.zip').touch()
    (tmp_path / 'images').symlink_to('images.zip')
    assert 'not there' not in nearest(tmp_path / 'images')
