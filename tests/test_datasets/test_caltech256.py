"""Caltech-256 as it is distributed, in small, becomes what the configs read."""

import io
import os
import tarfile

import pytest

from mmrsir.datasets.converters import conversion, sources
from mmrsir.datasets.splits import read_manifest
from mmrsir.utils.errors import UserError

from ..helpers.commands import ROOT
from ..helpers.image_trees import (
    counts,
    files,
    image,
    images,
    link_images,
    read,
    tool,
    write_images,
)

CONFIG = 'configs/cls/rsir_t_caltech256.py'
SIZES = {'001.ak47': 12, '056.dog': 8, '198.spider': 6}
NAMES = [
    f'{label}/{label[:3]}_{number:04d}.jpg'
    for label, size in SIZES.items()
    for number in range(1, size + 1)
]
VAL = {0: 2, 1: 2, 2: 1}  # a fifth of each class
main = tool('caltech256')


@pytest.fixture
def tree(tmp_path):
    """The folder of the archive, with its oddities and three of its classes."""
    folder = tmp_path / '256_ObjectCategories'
    write_images(folder, [*NAMES, '257.clutter/257_0001.jpg', '257.clutter/257_0002.jpg'])
    (folder / '056.dog/greg/vision309').mkdir(parents=True)
    (folder / '198.spider/RENAME2').write_text('mv a b\n')
    return folder


@pytest.fixture
def run(tmp_path, tree):
    """Run the converter on the tree or another source, with a manifest of the small tree."""

    def run(source=tree):
        manifest, out = tmp_path / 'manifest.json', tmp_path / 'out'
        main([str(source), f'--out-dir={out}', f'--manifest={manifest}', '--workers=2'])
        return out

    return run


@pytest.fixture
def converted(run, tree):
    """The folder of the lists, made once: the manifest of the small tree is there from then on."""
    return run()


def parts(out):
    return [images(read(CONFIG, part, out)) for part in ('train', 'val')]


def pack(tree, archive, mode):
    with tarfile.open(archive, mode) as file:
        file.add(tree, tree.name)
    return archive


def test_config_reads_a_stratified_split(converted):
    train, val = parts(converted)
    assert not train.keys() & val.keys()
    assert counts(val) == VAL
    assert counts(train) == {0: 10, 1: 6, 2: 5}


def test_labels_follow_the_folders(converted, tree):
    train, val = parts(converted)
    labels = {str(tree / name): sorted(SIZES).index(name.split('/')[0]) for name in NAMES}
    assert {**train, **val} == labels


def test_images_go_through_the_pipelines_of_the_config(converted):
    for part in ('train', 'test'):
        sample = read(CONFIG, part, converted)[0]
        assert sample['inputs'].shape == (3, 224, 224)


def test_nothing_is_copied(converted, tree):
    assert files(converted) == {'meta/train.txt', 'meta/val.txt'}


def test_lists_below_the_data_root_move_with_it(run, tree, tmp_path):
    out = tmp_path / 'out'
    out.mkdir()
    run(tree.rename(out / tree.name))
    moved = out.rename(tmp_path / 'moved')
    assert all(path.startswith(str(moved)) for part in parts(moved) for path in part)


def test_relative_paths_on_the_command_line_are_those_of_the_caller(tree, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    main([tree.name, '--out-dir=out', '--manifest=mine.json'])
    monkeypatch.chdir('/')
    assert sum(map(len, parts(tmp_path / 'out'))) == len(NAMES)


def test_what_is_no_image_of_a_class_is_named(run, capsys):
    run()
    said = capsys.readouterr().out
    assert 'files left out (3): 198.spider/RENAME2, 257.clutter/257_0001.jpg' in said


@pytest.mark.parametrize('mode', ['w', 'w:gz'])
def test_archive_gives_the_split_of_the_folder(converted, run, tree, tmp_path, mode):
    expected = [{path.removeprefix(str(tree)) for path in part} for part in parts(converted)]
    run(pack(tree, tmp_path / 'any.name', mode))
    folder = converted / 'images' / tree.name
    assert [{path.removeprefix(str(folder)) for path in part} for part in parts(converted)] == (
        expected
    )
    assert not list(converted.glob('*.unfinished'))


def test_second_run_decodes_and_extracts_nothing(run, tree, tmp_path, monkeypatch, capsys):
    archive = pack(tree, tmp_path / 'caltech.tar', 'w')
    out = run(archive)
    monkeypatch.delattr(conversion, 'decode_all')
    monkeypatch.delattr(sources, 'extract')
    before = (out / 'meta/train.txt').stat().st_mtime_ns
    capsys.readouterr()
    run(archive)
    said = capsys.readouterr().out
    assert f'using {out}/images; remove it to extract {archive} anew' in said
    assert 'nothing to do' in said
    assert (out / 'meta/train.txt').stat().st_mtime_ns == before


def test_lists_that_were_changed_are_made_again(converted, run):
    path = converted / 'meta/val.txt'
    text = path.read_text()
    path.write_text(text[:-20])
    run()
    assert path.read_text() == text


WHOLE = image((640, 480))
GAP = WHOLE[:1000] + WHOLE[1040:]  # Pillow alone decodes it without a word


@pytest.mark.parametrize(
    'broken',
    [WHOLE[:-900], GAP, image()[:30], b'', b'<html>', image(form='GIF')],
    ids=['cut', 'gap', 'head', 'empty', 'text', 'gif'],
)
def test_broken_images_are_named_and_nothing_is_written(run, tree, tmp_path, broken):
    for name in NAMES[:11]:
        (tree / name).write_bytes(broken)
    with pytest.raises((UserError, OSError)) as error:
        run()
    message = str(error.value)
    assert 'images that are broken (11): ' in message
    assert message.count('.jpg (') == 10 and f'{NAMES[9]} (' in message
    assert message.endswith(', and 1 more')
    assert not (tmp_path / 'out').exists() and not (tmp_path / 'manifest.json').exists()


def test_missing_and_additional_images_are_named(converted, run, tree):
    for name in NAMES[:11]:
        (tree / name).unlink()
    write_images(tree, ['056.dog/056_0099.jpg', '002.american-flag/002_0001.jpg'])
    before = (converted / 'meta/train.txt').read_text()
    with pytest.raises((UserError, OSError)) as error:
        run()
    message = str(error.value)
    assert 'missing images (11): 001.ak47/001_0001.jpg, ' in message and 'and 1 more' in message
    assert 'additional images (1): 056.dog/056_0099.jpg\n' in message
    assert 'additional classes (1): 002.american-flag\n' in message
    assert '--manifest FILE' in message
    assert (converted / 'meta/train.txt').read_text() == before


def test_missing_classes_are_named_without_their_images(converted, run, tree):
    for name in NAMES[:12]:
        (tree / name).unlink()
    with pytest.raises((UserError, OSError)) as error:
        run()
    assert 'missing classes (1): 001.ak47\n' in str(error.value)
    assert 'missing images' not in str(error.value)


def test_own_manifest_of_a_subset_can_be_used_again(converted, tree, tmp_path):
    for name in NAMES[:12]:
        (tree / name).unlink()
    mine = tmp_path / 'mine.json'
    for out in ('one', 'two'):
        main([str(tree), f'--out-dir={tmp_path / out}', f'--manifest={mine}'])
    assert read_manifest(mine).classes == ['056.dog', '198.spider']
    assert parts(tmp_path / 'one') == parts(tmp_path / 'two')


def test_small_tree_is_not_the_published_data_set(tree, tmp_path):
    with pytest.raises((UserError, OSError), match=r'missing classes \(253\): 002.american-flag'):
        main([str(tree), f'--out-dir={tmp_path / "out"}'])
    assert not (tmp_path / 'out').exists()


def test_whole_data_set_is_read_with_the_published_manifest(tmp_path, monkeypatch):
    monkeypatch.setattr(conversion, 'decode_all', lambda *_: {'any': 1})  # to save time
    split = read_manifest(ROOT / 'tools/dataset_converters/splits/caltech256.json')
    tree = tmp_path / '256_ObjectCategories'
    link_images(tree, [f'{k}/{name}' for k, names in split.images.items() for name in names])
    main([str(tree), f'--out-dir={tmp_path}'])
    train, val = parts(tmp_path)
    assert (len(train), len(val)) == (23828, 5952)
    assert len(counts(train)) == len(counts(val)) == 256


def test_tar_that_reaches_out_of_its_folder_is_refused(run, tree, tmp_path):
    archive = pack(tree, tmp_path / 'evil.tar', 'w')
    with tarfile.open(archive, 'a') as file:
        evil = tarfile.TarInfo('../../evil.jpg')
        evil.size = len(image())
        file.addfile(evil, io.BytesIO(image()))
    with pytest.raises((UserError, OSError), match='evil.tar cannot be extracted'):
        run(archive)
    assert not (tmp_path / 'evil.jpg').exists()
    assert not files(tmp_path / 'out')


def test_links_of_a_tar_are_not_extracted(run, tree, tmp_path):
    (tree / '001.ak47/link.jpg').symlink_to('/etc/hostname')
    out = run(pack(tree, tmp_path / 'linked.tar', 'w'))
    assert not list(out.rglob('link.jpg'))


@pytest.mark.parametrize('mode', ['w', 'w:gz'])
def test_truncated_archive_leaves_nothing(run, tree, tmp_path, mode):
    archive = pack(tree, tmp_path / 'cut.tar', mode)
    archive.write_bytes(archive.read_bytes()[: archive.stat().st_size // 2])
    with pytest.raises((UserError, OSError), match='cut.tar cannot be extracted'):
        run(archive)
    assert not files(tmp_path / 'out')


def test_folder_that_cannot_be_read_is_an_error(run, tree, monkeypatch):
    def scandir(path, scandir=os.scandir):
        if str(path).endswith('056.dog'):
            raise PermissionError(13, 'Permission denied', str(path))
        return scandir(path)

    monkeypatch.setattr(os, 'scandir', scandir)
    with pytest.raises((UserError, OSError), match='Permission denied.*056.dog'):
        run()


def test_folder_without_images_says_what_is_needed(run, tmp_path):
    (tmp_path / 'empty').mkdir()
    with pytest.raises(
        (UserError, OSError), match='holds no image of Caltech-256. Needed is 256_Object'
    ):
        run(tmp_path / 'empty')


def test_source_that_does_not_exist_is_named_with_the_nearest(run, tmp_path, tree):
    with pytest.raises((UserError, OSError), match='did you mean .*/256_ObjectCategories[?]'):
        run(tmp_path / '256_ObjectCategory')


def test_manifest_of_another_data_set_is_refused(tree, tmp_path):
    other = ROOT / 'tools/dataset_converters/splits/miniimagenet.json'
    with pytest.raises(
        (UserError, OSError), match='is a manifest of Mini-ImageNet, not of Caltech-256'
    ):
        main([str(tree), f'--out-dir={tmp_path / "out"}', f'--manifest={other}'])


def test_number_of_workers_is_checked(tree, tmp_path):
    with pytest.raises((UserError, OSError), match='workers=0 must be at least 1'):
        main([str(tree), f'--out-dir={tmp_path / "out"}', '--workers=0'])
