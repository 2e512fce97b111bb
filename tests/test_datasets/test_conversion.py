"""Caltech-256 and Mini-ImageNet as they are distributed, in small, become what the configs read."""

import os
import pickle
import tarfile
import zipfile
from pathlib import Path

import pytest

from mmrsir.datasets.converters import conversion, sources
from mmrsir.datasets.splits import read_manifest

from ..helpers.commands import ROOT
from ..helpers.image_trees import (
    counts,
    fails,
    files,
    image,
    images,
    link_images,
    read,
    tool,
    write_images,
)

CONFIGS = {
    'caltech256': 'configs/cls/rsir_t_caltech256.py',
    'miniimagenet': 'configs/cls/rsir_t_miniin.py',
}
TOOLS = {name: tool(name) for name in CONFIGS}
SIZES = {'001.ak47': 12, '056.dog': 8, '198.spider': 6}
NAMES = [
    f'{label}/{label[:3]}_{number:04d}.jpg'
    for label, size in SIZES.items()
    for number in range(1, size + 1)
]
CLASSES = {'n01532829': 'train', 'n01855672': 'val', 'n01930112': 'test'}  # of few-shot learning
NUMBERS = (5, 6, 7, 10, 14, 15, 16, 17, 18, 19, 1020, 1300)


@pytest.fixture
def tree(tmp_path):
    """The folder of Caltech-256's archive, with its oddities and three of its classes."""
    folder = tmp_path / '256_ObjectCategories'
    write_images(folder, [*NAMES, '257.clutter/257_0001.jpg', '257.clutter/257_0002.jpg'])
    (folder / '056.dog/greg/vision309').mkdir(parents=True)
    (folder / '198.spider/RENAME2').write_text('mv a b\n')
    return folder


@pytest.fixture
def run(tmp_path, tree):
    """Convert the tree or another source, with a manifest of the small tree; return the folder."""

    def run(source=tree, manifest=tmp_path / 'manifest.json', out=tmp_path / 'out'):
        options = [f'--out-dir={out}', f'--manifest={manifest}', '--workers=2']
        TOOLS['caltech256']([str(source), *options])
        return out

    return run


@pytest.fixture
def converted(run):
    """The folder of the lists, made once: the manifest of the small tree is there from then on."""
    return run()


def parts(out, name='caltech256'):
    return [images(read(CONFIGS[name], part, out)) for part in ('train', 'val')]


def pack(folder, archive):
    with zipfile.ZipFile(archive, 'w') as file:
        for name in sorted(files(folder)):
            file.write(folder / name, name)
    return archive


def test_config_reads_a_stratified_split_whose_labels_follow_the_folders(converted, tree):
    train, val = parts(converted)
    assert not train.keys() & val.keys()
    assert counts(val) == {0: 2, 1: 2, 2: 1}  # a fifth of each class
    assert counts(train) == {0: 10, 1: 6, 2: 5}
    labels = {str(tree / name): sorted(SIZES).index(name.split('/')[0]) for name in NAMES}
    assert {**train, **val} == labels
    assert files(converted) == {'meta/train.txt', 'meta/val.txt'}  # nothing is copied


def test_lists_below_the_data_root_move_with_it(run, tree, tmp_path):
    out = tmp_path / 'out'
    out.mkdir()
    run(tree.rename(out / tree.name))
    moved = out.rename(tmp_path / 'moved')
    assert all(path.startswith(str(moved)) for part in parts(moved) for path in part)


def test_relative_paths_on_the_command_line_are_those_of_the_caller(tree, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    TOOLS['caltech256']([tree.name, '--out-dir=out', '--manifest=mine.json'])
    monkeypatch.chdir('/')
    assert sum(map(len, parts(tmp_path / 'out'))) == len(NAMES)


def test_what_is_no_image_of_a_class_and_the_size_of_images_are_said(run, capsys):
    run()
    said = capsys.readouterr().out
    assert 'files left out (3): 198.spider/RENAME2, 257.clutter/257_0001.jpg' in said
    assert 'median of their shorter sides: 9 pixels' in said


def test_second_run_decodes_and_extracts_nothing(run, tree, tmp_path, monkeypatch, capsys):
    archive = tmp_path / 'caltech.tar'
    with tarfile.open(archive, 'w') as file:
        file.add(tree, tree.name)
    out = run(archive)
    assert sum(map(len, parts(out))) == len(NAMES)
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
    message = fails(run, 'images that are broken (11): ', f'{NAMES[9]} (')
    assert message.count('.jpg (') == 10
    assert message.endswith(', and 1 more')
    assert not (tmp_path / 'out').exists() and not (tmp_path / 'manifest.json').exists()


def test_missing_and_additional_images_are_named(converted, run, tree):
    for name in NAMES[:11]:
        (tree / name).unlink()
    write_images(tree, ['056.dog/056_0099.jpg', '002.american-flag/002_0001.jpg'])
    before = (converted / 'meta/train.txt').read_text()
    fails(
        run,
        'missing images (11): 001.ak47/001_0001.jpg, ',
        'and 1 more',
        'additional images (1): 056.dog/056_0099.jpg\n',
        'additional classes (1): 002.american-flag\n',
        '--manifest FILE',
    )
    assert (converted / 'meta/train.txt').read_text() == before


def test_missing_classes_are_named_without_their_images(converted, run, tree):
    for name in NAMES[:12]:
        (tree / name).unlink()
    assert 'missing images' not in fails(run, 'missing classes (1): 001.ak47\n')


def test_own_manifest_of_a_subset_can_be_used_again(run, tree, tmp_path):
    for name in NAMES[:12]:
        (tree / name).unlink()
    mine = tmp_path / 'mine.json'
    first, second = (parts(run(manifest=mine, out=tmp_path / name)) for name in ('one', 'two'))
    assert read_manifest(mine).classes == ['056.dog', '198.spider']
    assert first == second


@pytest.mark.parametrize(
    ('options', 'said'),
    [
        ([], 'missing classes (253): 002.american-flag'),  # of the published manifest
        (
            [f'--manifest={ROOT}/tools/dataset_converters/splits/miniimagenet.json'],
            'is a manifest of Mini-ImageNet, not of Caltech-256',
        ),
    ],
)
def test_options_that_do_not_fit_are_refused(tree, tmp_path, options, said):
    command = [str(tree), f'--out-dir={tmp_path / "out"}', *options]
    fails(lambda: TOOLS['caltech256'](command), said)
    assert not (tmp_path / 'out').exists()


def test_number_of_workers_is_checked_before_anything_is_done(tree, capsys):
    with pytest.raises(SystemExit):
        TOOLS['caltech256']([str(tree), '--workers=0'])
    assert '--workers: 0 must be a whole number, at least 1' in capsys.readouterr().err


def test_folder_that_cannot_be_read_is_an_error(run, monkeypatch):
    def scandir(path, scandir=os.scandir):
        if str(path).endswith('056.dog'):
            raise PermissionError(13, 'Permission denied', str(path))
        return scandir(path)

    monkeypatch.setattr(os, 'scandir', scandir)
    fails(run, 'Permission denied', '056.dog')


def test_source_without_images_or_that_does_not_exist_is_explained(run, tmp_path):
    (tmp_path / 'empty').mkdir()
    needed = 'holds no image of Caltech-256. Needed is 256_Object'
    fails(lambda: run(tmp_path / 'empty'), needed)
    near = f'did you mean {tmp_path}/256_ObjectCategories?'
    fails(lambda: run(tmp_path / '256_ObjectCategory'), near)


@pytest.mark.parametrize(
    ('name', 'num_classes', 'num_images'),
    [('caltech256', 256, [23828, 5952]), ('miniimagenet', 100, [50000, 10000])],
)
def test_whole_data_set_is_read_with_the_published_manifest(
    name, num_classes, num_images, tmp_path, monkeypatch
):
    monkeypatch.setattr(conversion, 'decode_all', lambda *_: {'any': 1})  # to save time
    split = read_manifest(ROOT / f'tools/dataset_converters/splits/{name}.json')
    tree = tmp_path / 'tree'
    link_images(tree, [f'{k}/{one}' for k, names in split.images.items() for one in names])
    TOOLS[name]([str(tree), f'--out-dir={tmp_path}'])
    read = parts(tmp_path, name)
    assert list(map(len, read)) == num_images
    assert [len(counts(part)) for part in read] == [num_classes] * 2


def flat(label, number):
    return f'images/{label}{number:08d}.jpg'


def class_folders(label, number):
    return f'{label}/{label}{number:08d}.jpg'


def split_folders(label, number):
    return f'{CLASSES[label]}/{label}/{label}{number:08d}.jpg'


def imagenet_names(label, number):
    return f'{label}/{label}_{number}.JPEG'


def write(folder, layout):
    """Write Mini-ImageNet in a layout, with the lists of few-shot learning beside the images."""
    write_images(folder, [layout(label, number) for label in CLASSES for number in NUMBERS])
    for label, part in CLASSES.items():
        rows = [f'{label}{number:08d}.jpg,{label}' for number in NUMBERS]
        (folder / f'{part}.csv').write_text('\n'.join(['filename,label', *rows]) + '\n')
    return folder


def run_mini(source, out, manifest):
    TOOLS['miniimagenet']([str(source), f'--out-dir={out}', f'--manifest={manifest}'])
    return parts(out, 'miniimagenet')


def names(part):
    return {Path(path).name: label for path, label in part.items()}


@pytest.fixture
def manifest(tmp_path):
    """A manifest of the small Mini-ImageNet under the names of the lists."""
    path = tmp_path / 'mini.json'
    run_mini(write(tmp_path / 'reference', flat), tmp_path / 'reference_out', path)
    return path


@pytest.mark.parametrize('layout', [flat, class_folders, split_folders])
@pytest.mark.parametrize('packed', [False, True], ids=['folder', 'zip'])
def test_every_layout_gives_the_same_split(tmp_path, manifest, layout, packed):
    source = write(tmp_path / 'mini', layout)
    source = pack(source, tmp_path / 'any.name') if packed else source
    train, val = run_mini(source, tmp_path / 'out', manifest)
    split = read_manifest(manifest)
    assert names(val) == {
        name: number for number, label in enumerate(split.classes) for name in split.val[label]
    }
    assert counts(val) == {0: 2, 1: 2, 2: 2}
    assert counts(train) == {0: 10, 1: 10, 2: 10}
    assert not names(train).keys() & names(val).keys()


@pytest.mark.parametrize('name', CONFIGS)
def test_images_go_through_the_pipelines_of_the_config(name, tmp_path, converted, manifest):
    root = converted if name == 'caltech256' else tmp_path / 'reference_out'
    for part in ('train', 'test'):
        assert read(CONFIGS[name], part, root)[0]['inputs'].shape == (3, 224, 224)


def test_names_of_imagenet_need_a_manifest_of_their_own(tmp_path, manifest):
    source = write(tmp_path / 'mini', imagenet_names)
    fails(lambda: run_mini(source, tmp_path / 'out', manifest), 'missing images (36)')
    train, val = run_mini(source, tmp_path / 'out', tmp_path / 'mine.json')
    assert (counts(train), counts(val)) == ({0: 10, 1: 10, 2: 10}, {0: 2, 1: 2, 2: 2})


def test_own_names_in_class_folders_have_the_class_of_the_folder(tmp_path):
    folders = {'n01532821': 0, 'n01532822': 1}
    write_images(tmp_path / 'mini', [f'train/{k}/{n}.png' for k in folders for n in range(6)])
    train, _ = run_mini(tmp_path / 'mini', tmp_path / 'out', tmp_path / 'mine.json')
    assert {Path(path).parent.name: label for path, label in train.items()} == folders


@pytest.mark.parametrize('form', ['file', 'folder', 'zip'])
def test_pickled_caches_are_refused_and_not_loaded(tmp_path, manifest, form):
    class Canary:
        def __reduce__(self):
            return (Path.touch, (tmp_path / 'loaded',))

    source = tmp_path / 'cache'
    source.mkdir()
    (source / 'train.pkl').write_bytes(pickle.dumps(Canary()))
    if form != 'folder':
        source = source / 'train.pkl' if form == 'file' else pack(source, tmp_path / 'any.name')
    fails(
        lambda: run_mini(source, tmp_path / 'out', manifest),
        'Pickled caches (.pkl) are refused: they hold',
    )
    assert not (tmp_path / 'loaded').exists()


def test_images_that_are_there_twice_are_named(tmp_path, manifest):
    source = write(write(tmp_path / 'mini', flat), class_folders)
    fails(
        lambda: run_mini(source, tmp_path / 'out', manifest),
        'holds images twice, ',
        ': n01532829/',
        ' and 26 more; name',
    )


def test_hidden_files_of_macos_are_no_images(tmp_path, manifest):
    source = write(tmp_path / 'mini', class_folders)
    for name in [*files(source)]:
        hidden = source / '__MACOSX' / Path(name).parent / f'._{Path(name).name}'
        hidden.parent.mkdir(parents=True, exist_ok=True)
        hidden.write_bytes(b'Mac OS X')
    train, val = run_mini(source, tmp_path / 'out', manifest)
    assert (len(train), len(val)) == (30, 6)
