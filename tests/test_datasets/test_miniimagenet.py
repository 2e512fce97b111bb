"""Mini-ImageNet in the layouts that circulate, in small, becomes what the configs read."""

import pickle
import zipfile
from pathlib import Path

import pytest

from mmrsir.datasets.converters import conversion
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

CONFIG = 'configs/cls/rsir_t_miniin.py'
CLASSES = {'n01532829': 'train', 'n01855672': 'val', 'n01930112': 'test'}  # of few-shot learning
NUMBERS = (5, 6, 7, 10, 14, 15, 16, 17, 18, 19, 1020, 1300)
main = tool('miniimagenet')


def flat(label, number):
    return f'images/{label}{number:08d}.jpg'


def class_folders(label, number):
    return f'{label}/{label}{number:08d}.jpg'


def split_folders(label, number):
    return f'{CLASSES[label]}/{label}/{label}{number:08d}.jpg'


def imagenet_names(label, number):
    return f'{label}/{label}_{number}.JPEG'


def write(folder, layout):
    """Write the images in a layout, with the lists of few-shot learning beside them."""
    write_images(folder, [layout(label, number) for label in CLASSES for number in NUMBERS])
    for label, part in CLASSES.items():
        rows = [f'{label}{number:08d}.jpg,{label}' for number in NUMBERS]
        (folder / f'{part}.csv').write_text('\n'.join(['filename,label', *rows]) + '\n')
    return folder


def pack(folder):
    archive = folder.with_name('any.name')
    with zipfile.ZipFile(archive, 'w') as file:
        for name in sorted(files(folder)):
            file.write(folder / name, name)
    return archive


def run(source, out, manifest):
    main([str(source), f'--out-dir={out}', f'--manifest={manifest}'])
    return [images(read(CONFIG, part, out)) for part in ('train', 'val')]


def names(part):
    return {Path(path).name: label for path, label in part.items()}


@pytest.fixture
def manifest(tmp_path):
    """A manifest of the small data set under the names of the lists."""
    path = tmp_path / 'manifest.json'
    run(write(tmp_path / 'reference', flat), tmp_path / 'reference_out', path)
    return path


@pytest.mark.parametrize('layout', [flat, class_folders, split_folders])
@pytest.mark.parametrize('packed', [False, True], ids=['folder', 'zip'])
def test_every_layout_gives_the_same_split(tmp_path, manifest, layout, packed):
    source = write(tmp_path / 'mini', layout)
    train, val = run(pack(source) if packed else source, tmp_path / 'out', manifest)
    split = read_manifest(manifest)
    assert names(val) == {
        name: number for number, label in enumerate(split.classes) for name in split.val[label]
    }
    assert counts(val) == {0: 2, 1: 2, 2: 2}
    assert counts(train) == {0: 10, 1: 10, 2: 10}
    assert not names(train).keys() & names(val).keys()


def test_images_go_through_the_pipelines_of_the_config(tmp_path, manifest):
    for part in ('train', 'test'):
        sample = read(CONFIG, part, tmp_path / 'reference_out')[0]
        assert sample['inputs'].shape == (3, 224, 224)


def test_lists_are_left_out_and_named(tmp_path, manifest, capsys):
    run(write(tmp_path / 'mini', class_folders), tmp_path / 'out', manifest)
    assert 'files left out (3): test.csv, train.csv, val.csv' in capsys.readouterr().out


def test_size_of_the_images_is_said(tmp_path, manifest, capsys):
    run(write(tmp_path / 'mini', flat), tmp_path / 'out', manifest)
    assert 'median of their shorter sides: 9 pixels' in capsys.readouterr().out


def test_names_of_imagenet_need_a_manifest_of_their_own(tmp_path, manifest):
    source = write(tmp_path / 'mini', imagenet_names)
    with pytest.raises((UserError, OSError), match=r'missing images \(36\)'):
        run(source, tmp_path / 'out', manifest)
    train, val = run(source, tmp_path / 'out', tmp_path / 'mine.json')
    assert (counts(train), counts(val)) == ({0: 10, 1: 10, 2: 10}, {0: 2, 1: 2, 2: 2})


def test_own_names_in_class_folders_have_the_class_of_the_folder(tmp_path):
    write_images(
        tmp_path / 'mini', [f'train/n0153282{k}/{n}.png' for k in (1, 2) for n in range(6)]
    )
    train, _ = run(tmp_path / 'mini', tmp_path / 'out', tmp_path / 'mine.json')
    assert {Path(path).parent.name: label for path, label in train.items()} == {
        'n01532821': 0,
        'n01532822': 1,
    }


@pytest.mark.parametrize('form', ['file', 'folder', 'zip'])
def test_pickled_caches_are_refused_and_not_loaded(tmp_path, manifest, form):
    class Canary:
        def __reduce__(self):
            return (Path.touch, (tmp_path / 'loaded',))

    source = tmp_path / 'cache'
    source.mkdir()
    cache = source / 'mini-imagenet-cache-train.pkl'
    cache.write_bytes(pickle.dumps(Canary()))
    source = {'file': cache, 'folder': source, 'zip': source}[form]
    with pytest.raises(
        (UserError, OSError), match=r'Pickled caches \(\.pkl\) are refused: they hold'
    ):
        run(pack(source) if form == 'zip' else source, tmp_path / 'out', manifest)
    assert not (tmp_path / 'loaded').exists()


def test_images_that_are_there_twice_are_named(tmp_path, manifest):
    source = write(write(tmp_path / 'mini', flat), class_folders)
    with pytest.raises(
        (UserError, OSError), match='holds images twice, .*: n01532829/.* and 26 more; name'
    ):
        run(source, tmp_path / 'out', manifest)


def test_hidden_files_of_macos_are_no_images(tmp_path, manifest):
    source = write(tmp_path / 'mini', class_folders)
    for name in [*files(source)]:
        hidden = source / '__MACOSX' / Path(name).parent / f'._{Path(name).name}'
        hidden.parent.mkdir(parents=True, exist_ok=True)
        hidden.write_bytes(b'Mac OS X')
    train, val = run(pack(source), tmp_path / 'out', manifest)
    assert (len(train), len(val)) == (30, 6)


def test_zip_cannot_write_outside_its_folder(tmp_path, manifest):
    archive = pack(write(tmp_path / 'mini', flat))
    with zipfile.ZipFile(archive, 'a') as file:
        file.writestr('../../evil.jpg', image())
    run(archive, tmp_path / 'out', manifest)
    assert not list(tmp_path.glob('evil.jpg'))


def test_zip_with_a_damaged_image_leaves_nothing(tmp_path, manifest):
    archive = pack(write(tmp_path / 'mini', flat))
    content = archive.read_bytes()
    archive.write_bytes(content.replace(image(), image()[::-1], 1))
    with pytest.raises((UserError, OSError), match='cannot be extracted: Bad CRC-32'):
        run(archive, tmp_path / 'out', manifest)
    assert not files(tmp_path / 'out')


def test_encrypted_zip_is_refused(tmp_path, manifest):
    archive = pack(write(tmp_path / 'mini', flat))
    content = bytearray(archive.read_bytes())
    entry = content.index(b'PK\x01\x02')  # the first entry of the directory, at whose
    content[entry + 8] |= 1  # byte 8 the flag of encryption stands; also in the file's own head
    content[6] |= 1
    archive.write_bytes(content)
    with pytest.raises((UserError, OSError), match='cannot be extracted: .* encrypted'):
        run(archive, tmp_path / 'out', manifest)


def test_whole_data_set_is_read_with_the_published_manifest(tmp_path, monkeypatch):
    monkeypatch.setattr(conversion, 'decode_all', lambda *_: {'any': 1})  # to save time
    split = read_manifest(ROOT / 'tools/dataset_converters/splits/miniimagenet.json')
    tree = tmp_path / 'images'
    link_images(tree, [name for label in split.classes for name in split.images[label]])
    main([str(tree), f'--out-dir={tmp_path}'])
    train, val = (images(read(CONFIG, part, tmp_path)) for part in ('train', 'val'))
    assert set(counts(train).values()) == {500} and set(counts(val).values()) == {100}
    assert len(counts(val)) == 100
