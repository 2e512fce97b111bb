"""Both forms of CamVid, in small, become what the configs read."""

import zipfile
from pathlib import Path

import numpy as np
import pytest
from mmengine.registry import DATASETS, init_default_scope
from PIL import Image

from mmrsir.datasets.converters.camvid import _COLOURS, CLASSES, VOID, convert, read_split
from mmrsir.engine.config_files import read_file

from ..helpers.commands import ROOT
from ..helpers.image_trees import CAMVID_SPLIT, camvid, fails, files, noise, save, tool

SPLIT = ROOT / 'tools/dataset_converters/splits/camvid.json'


@pytest.fixture
def tree(tmp_path):
    return camvid(tmp_path / 'CamVid')


def pixels(path):
    return np.asarray(Image.open(path))


def test_config_reads_each_part(tree, tmp_path):
    convert(tree, tmp_path / 'out', CAMVID_SPLIT)
    cfg = read_file(ROOT / 'configs/upernet/rsir_n_camvid.py')
    init_default_scope('mmseg')
    for part, names in CAMVID_SPLIT.items():
        settings = dict(cfg[f'{part}_dataloader'].dataset, data_root=str(tmp_path / 'out'))
        dataset = DATASETS.build(settings)
        assert dataset.metainfo['classes'] == CLASSES
        assert [
            Path(dataset[i]['data_samples'].img_path).stem for i in range(len(dataset))
        ] == names
        labels = dataset[0]['data_samples'].gt_sem_seg.data.numpy()
        assert set(np.unique(labels)) <= {*range(len(CLASSES)), VOID}


def test_void_becomes_what_mmseg_ignores_and_other_labels_stay(tree, tmp_path):
    convert(tree, tmp_path / 'out', CAMVID_SPLIT)
    name = '0016E5_07959.png'
    before = pixels(tree / 'valannot' / name)
    after = pixels(tmp_path / 'out/ann_dir/val' / name)
    assert (after[before == 11] == VOID).all() and (before == 11).any()
    assert (after[before < 11] == before[before < 11]).all()
    image = pixels(tmp_path / 'out/img_dir/val' / name)
    assert (image == pixels(tree / 'val' / name)).all()


def makers(folder, archives=False):
    """Write the makers' form: the colour of one of their classes in each column of 30 pixels."""
    colours = [(0, 0, 0)] + [c for members in _COLOURS.values() for c in members.values()]
    labels = np.repeat(np.array(colours, np.uint8), 30, axis=0)[None].repeat(720, 0)
    for part in CAMVID_SPLIT.values():
        for seed, name in enumerate(part):
            save(noise((960, 720), seed=seed), folder / f'701_StillsRaw_full/{name}.png')
            picture = Image.fromarray(np.ascontiguousarray(labels))
            save(picture, folder / f'LabeledApproved_full/{name}_L.png')
    return folder


def test_the_makers_form_is_halved_and_has_eleven_classes(tmp_path):
    folder = makers(tmp_path / 'makers')
    convert(folder, tmp_path / 'out', CAMVID_SPLIT)
    labels = pixels(tmp_path / 'out/ann_dir/train/0001TP_006690.png')
    assert labels.shape == (360, 480) and (labels == labels[0]).all()
    expected = [VOID] + [CLASSES.index(name) for name, members in _COLOURS.items() for _ in members]
    assert labels[0, ::15].tolist() == expected
    assert len(expected) == 32  # the makers' classes
    image = pixels(folder / '701_StillsRaw_full/0001TP_006690.png').astype(float)
    mean = image.reshape(360, 2, 480, 2, 3).mean((1, 3))
    halved = pixels(tmp_path / 'out/img_dir/train/0001TP_006690.png')
    assert abs(halved - mean).max() <= 0.5


def test_the_makers_archives_give_what_their_folders_give(tmp_path):
    folder = makers(tmp_path / 'makers')
    packed = tmp_path / 'packed'
    packed.mkdir()
    for name, below in (('701_StillsRaw_full', True), ('LabeledApproved_full', False)):
        with zipfile.ZipFile(packed / f'{name}.zip', 'w') as file:
            for path in sorted((folder / name).iterdir()):
                file.write(path, f'{name}/{path.name}' if below else path.name)
    convert(folder, tmp_path / 'one', CAMVID_SPLIT)
    convert(packed, tmp_path / 'two', CAMVID_SPLIT)
    written = files(tmp_path / 'one')
    assert written == files(tmp_path / 'two') and len(written) == 16
    assert all(
        (tmp_path / 'one' / one).read_bytes() == (tmp_path / 'two' / one).read_bytes()
        for one in written
    )


def refused(source, tmp_path):
    message = fails(lambda: convert(source, tmp_path / 'out', CAMVID_SPLIT))
    assert not files(tmp_path / 'out')
    return message


def test_missing_unknown_and_moved_frames_are_named(tree, tmp_path):
    (tree / 'val/0016E5_07959.png').rename(tree / 'val/0016E5_07960.png')
    (tree / 'train/0016E5_00390.png').rename(tree / 'test/0016E5_00390.png')
    message = refused(tree, tmp_path)
    assert 'missing frames (1): 0016E5_07959\n' in message
    assert 'unknown frames (1): 0016E5_07960\n' in message
    assert 'frames in another part (1): 0016E5_00390\n' in message


@pytest.mark.parametrize(
    ('labels', 'said'),
    [
        (np.full((360, 480), 12, np.uint8), 'labels [12]; allowed: 0 to 11, the last is void'),
        (np.full((360, 480, 3), 7, np.uint8), 'no class has these colours: #070707'),
        (np.zeros((360, 481), np.uint8), '481 x 360 pixels; allowed: 960 x 720'),
    ],
)
def test_wrong_label_maps_are_named(tree, tmp_path, labels, said):
    save(Image.fromarray(labels), tree / 'valannot/0016E5_07959.png')
    message = refused(tree, tmp_path)
    assert '0016E5_07959.png (' in message and said in message


def test_the_published_split_has_its_size():
    split = read_split(SPLIT)
    assert {part: len(names) for part, names in split.items()} == dict(train=367, val=101, test=233)
    assert len({name for names in split.values() for name in names}) == 701


def test_tool_refuses_a_part_of_the_data(tree, tmp_path):
    fails(
        lambda: tool('camvid')([str(tree), f'--out-dir={tmp_path / "out"}']),
        'missing frames (693)',
    )
