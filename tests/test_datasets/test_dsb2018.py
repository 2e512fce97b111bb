"""The nuclei of the 2018 Data Science Bowl, in small, become what the configs read."""

import json
import zipfile

import numpy as np
import pytest
from mmengine.registry import DATASETS, init_default_scope
from PIL import Image

from mmrsir.datasets.converters.dsb2018 import decode_runs
from mmrsir.engine.config_files import read_file

from ..helpers.commands import ROOT
from ..helpers.image_trees import fails, files, nuclei, save, tool

NAMES = [f'{number:02}' for number in range(20)]
main = tool('dsb2018')


@pytest.fixture
def sources(tmp_path):
    train = nuclei(tmp_path / 'stage1_train', NAMES)
    nuclei(tmp_path / 'stage1_train', ['90'], size=(40, 40))
    return train, nuclei(tmp_path / 'stage1_test', ['50', '51'])


def convert(train, test, out, *arguments):
    main([str(train), str(test), f'--out-dir={out}', '--workers=2', *arguments])
    return {
        part: json.loads((out / f'annotations/instances_{part}.json').read_text())
        for part in ('train', 'val', 'test')
    }


def test_config_reads_masks_as_they_are(sources, tmp_path):
    convert(*sources, tmp_path / 'out')
    cfg = read_file(ROOT / 'configs/mask_rcnn/rsir_n_dsb2018.py')
    init_default_scope('mmdet')
    settings = dict(cfg.test_dataloader.dataset, data_root=f'{tmp_path / "out"}/')
    sample = DATASETS.build(settings)[0]['data_samples']
    assert sample.ori_shape == (50, 60) and sample.img_shape == (100, 120)
    found = sample.gt_instances.masks.masks
    expected = [
        np.asarray(Image.open(path)) > 0 for path in sorted(sources[1].glob('50/masks/*.png'))
    ]
    assert (found == np.stack(expected)).all()
    assert sample.gt_instances.bboxes.tensor.tolist() == [[5, 4, 17, 14], [30, 20, 42, 30]]


def test_a_tenth_of_each_size_is_for_validation(sources, tmp_path):
    parts = convert(*sources, tmp_path / 'out')
    names = {
        part: {image['file_name'][:-4] for image in content['images']}
        for part, content in parts.items()
    }
    assert len(names['val']) == 2 and not names['val'] & names['train']
    assert names['train'] | names['val'] == {*NAMES, '90'}
    assert '90' in names['train']  # of one image a tenth is none
    assert names['test'] == {'50', '51'}
    assert files(tmp_path / 'out/val') == {f'{name}.png' for name in names['val']}
    assert len(parts['train']['annotations']) == 2 * len(names['train'])


def test_an_earlier_conversion_leaves_nothing(sources, tmp_path):
    convert(*sources, tmp_path / 'out')
    save(Image.new('RGB', (5, 5)), tmp_path / 'out/test/old.png')
    convert(*sources, tmp_path / 'out')
    assert files(tmp_path / 'out/test') == {'50.png', '51.png'}


def encode_runs(mask):
    """Encode a mask as the competition does."""
    flat = np.concatenate([[0], mask.T.reshape(-1) > 0, [0]]).astype(int)
    changes = np.flatnonzero(np.diff(flat))
    return ' '.join(f'{a + 1} {b - a}' for a, b in zip(changes[::2], changes[1::2], strict=True))


@pytest.mark.parametrize('given', [False, True])
def test_the_makers_archives_and_solution_give_the_same(sources, tmp_path, given):
    expected = convert(*sources, tmp_path / 'one')
    rows = ['ImageId,EncodedPixels,Height,Width,Usage']
    for path in sorted(sources[1].glob('*/masks/*.png')):
        rows.append(f'{path.parts[-3]},{encode_runs(np.asarray(Image.open(path)))},50,60,Public')
    archives = []
    for folder, left_out in zip(sources, ('nothing', 'masks'), strict=True):
        archives.append(tmp_path / f'{folder.name}.zip')
        with zipfile.ZipFile(archives[-1], 'w') as file:
            for name in files(folder):
                if f'/{left_out}/' not in name:
                    file.write(folder / name, name)
    solution = tmp_path / ('elsewhere.csv' if given else 'stage1_solution.csv')
    solution.write_text('\n'.join(rows))
    arguments = [f'--solution={solution}'] if given else []
    assert convert(*archives, tmp_path / 'two', *arguments) == expected
    assert files(tmp_path / 'two') == files(tmp_path / 'one')


def test_runs_count_from_one_down_the_columns():
    mask = decode_runs('2 1 5 2', height=3, width=2)
    assert mask.astype(int).tolist() == [[0, 0], [1, 1], [0, 1]]


@pytest.mark.parametrize('runs', ['', '1', '0 1', '6 2', '3 0', 'a 1'])
def test_wrong_runs_are_refused(runs):
    with pytest.raises(ValueError):
        decode_runs(runs, height=3, width=2)


def refused(sources, tmp_path):
    message = fails(lambda: convert(*sources, tmp_path / 'out'))
    assert not files(tmp_path / 'out')
    return message


def test_wrong_masks_are_named(sources, tmp_path):
    folder = sources[0] / '03/masks'
    save(Image.new('L', (60, 50)), folder / 'empty.png')
    save(Image.new('L', (50, 60), 255), folder / 'turned.png')
    (folder / 'cut.png').write_bytes((folder / 'turned.png').read_bytes()[:40])
    message = refused(sources, tmp_path)
    assert 'images that are broken (3): ' in message and 'cut.png (' in message
    assert 'empty.png (the mask is empty' in message
    assert 'turned.png (50 x 60 pixels, but its image 60 x 50)' in message


def test_images_without_masks_are_named(sources, tmp_path):
    for mask in sources[1].glob('51/masks/*'):
        mask.unlink()
    assert 'without masks (1): 51. ' in refused(sources, tmp_path)


def test_a_solution_that_is_missing_is_named(sources, tmp_path):
    for mask in sources[1].glob('*/masks/*'):
        mask.unlink()
    assert 'stage1_solution.csv does not exist' in refused(sources, tmp_path)
