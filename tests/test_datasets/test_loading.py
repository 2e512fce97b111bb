"""No image reaches training or testing in part."""

import copy
import json
import os
import re
import subprocess
import sys
from functools import partial

import cv2
import mmcv.transforms
import numpy as np
import pytest
from mmdet.apis import DetInferencer
from mmengine.config import Config
from mmengine.dataset import BaseDataset
from mmengine.logging import MMLogger
from mmengine.registry import DATASETS, TRANSFORMS, init_default_scope
from mmpretrain.apis import ImageClassificationInferencer
from mmseg.apis import MMSegInferencer
from torch.utils.data import DataLoader

import mmrsir.replacements  # noqa: F401  # as the configs do
from mmrsir.datasets import CorruptImageError, LoadImageFromFile
from mmrsir.engine.loops.batches import PlacedIndex, SampleError, load_samples
from mmrsir.utils.settings import transforms_of

from ..helpers.configs import CONFIGS, SHAPES, read

SUFFIXES = ('.jpg', '.png', '.bmp', '.tiff', '.webp')


def encode(suffix='.jpg', size=(60, 80), progressive=False):
    """The bytes of a photograph-like image."""
    noise = np.random.default_rng(0).integers(0, 255, (*size, 3), dtype=np.uint8)
    options = [cv2.IMWRITE_JPEG_PROGRESSIVE, int(progressive)] if suffix == '.jpg' else []
    return cv2.imencode(suffix, cv2.GaussianBlur(noise, (0, 0), 2), options)[1].tobytes()


@pytest.fixture
def write(tmp_path):
    def write_file(data, name='image.jpg'):
        (tmp_path / name).write_bytes(data)
        return str(tmp_path / name)

    return write_file


def load(path, **settings):
    return LoadImageFromFile(**settings)(dict(img_path=path))


@pytest.mark.parametrize('suffix', SUFFIXES)
@pytest.mark.parametrize(
    'settings', [{}, dict(color_type='grayscale'), dict(to_float32=True, imdecode_backend='cv2')]
)
def test_whole_image_is_loaded_as_by_mmcv(suffix, settings, write):
    path = write(encode(suffix), f'image{suffix}')
    expected = mmcv.transforms.LoadImageFromFile(**settings)(dict(img_path=path))
    actual = load(path, **settings)
    np.testing.assert_array_equal(actual['img'], expected['img'])
    assert actual.pop('img').dtype == expected.pop('img').dtype
    assert actual == expected


@pytest.mark.parametrize('suffix', SUFFIXES)
@pytest.mark.parametrize('share', [0, 0.01, 0.5, 0.9, 0.999])
def test_cut_image_is_refused_by_name(suffix, share, write):
    data = encode(suffix)
    path = write(data[: int(share * len(data))], f'image{suffix}')
    with pytest.raises(CorruptImageError, match=f'^{re.escape(path)} is broken: .') as caught:
        load(path)
    assert '\n' not in str(caught.value)


@pytest.mark.parametrize('progressive', [False, True])
@pytest.mark.parametrize('cut', [0.3, 0.6, 0.9])
def test_jpeg_is_refused_of_which_the_decoder_fills_up_half(cut, progressive, write):
    data = encode(progressive=progressive, size=(240, 320))
    path = write(data[: int(cut * len(data))] + data[-2:])  # so that it ends as it should
    with pytest.raises(CorruptImageError, match=rf'{re.escape(path)} is broken: Corrupt JPEG'):
        load(path)


def test_superfluous_bytes_in_a_jpeg_are_no_damage(write, capfd):
    data = encode()
    padded = load(write(data[:-2] + bytes(9) + data[-2:], 'padded.jpg'))
    assert 'extraneous bytes' in capfd.readouterr().err  # what it has to say is not lost
    np.testing.assert_array_equal(padded['img'], load(write(data))['img'])
    np.testing.assert_array_equal(load(write(data + bytes(9)))['img'], padded['img'])


def test_standard_error_is_as_before(write, capfd):
    for name in ('1.jpg', '2.jpg'):
        data = encode()
        with pytest.raises(CorruptImageError):
            load(write(data[:1000] + data[-2:], name))
    os.write(2, b'still there')
    assert capfd.readouterr().err == 'still there'


@pytest.mark.parametrize('data', [b'no image', b'\xff\xd8 nor this \xff\xd9'])
def test_what_cannot_be_decoded_is_refused_by_name(data, write):
    with pytest.raises(CorruptImageError, match=r'image\.jpg is broken: \d+ bytes that cannot'):
        load(write(data))


def test_missing_image_is_no_broken_one(tmp_path):
    with pytest.raises(FileNotFoundError, match=r'none\.jpg'):
        load(str(tmp_path / 'none.jpg'), on_corrupt='skip')


def test_ignore_empty_keeps_its_meaning(write, tmp_path):
    assert load(write(encode()[:-9]), ignore_empty=True) is None
    assert load(str(tmp_path / 'none.jpg'), ignore_empty=True) is None


def test_more_than_the_limit_is_refused_by_name(write):
    transform = LoadImageFromFile(on_corrupt='skip', max_skipped=3)
    broken = dict(img_path=write(encode()[:-9]))
    others = copy.deepcopy(transform)  # as in a wrapped or sliced data set
    assert [transform(broken), others(broken), transform(broken)] == [None] * 3
    with pytest.raises(CorruptImageError, match=r'max_skipped=3 images .* last: .*image\.jpg is'):
        others(broken)


def test_policy_is_checked():
    with pytest.raises(ValueError, match="on_corrupt='skp' is unknown.* did you mean 'skip'"):
        LoadImageFromFile(on_corrupt='skp')
    with pytest.raises(ValueError, match='max_skipped=-1 must be at least 0'):
        LoadImageFromFile(max_skipped=-1)
    with pytest.raises(TypeError, match='max_skipped=None must be an integer'):
        LoadImageFromFile(max_skipped=None)


@pytest.fixture
def some_broken(write, tmp_path):
    """Twelve images; the first four are broken."""
    data = encode()
    records = [dict(img_path=write(data[: -9 if i < 4 else None], f'{i}.jpg')) for i in range(12)]
    ann_file = tmp_path / 'list.json'
    ann_file.write_text(json.dumps(dict(metainfo={}, data_list=records)))
    return str(ann_file)


@pytest.mark.parametrize('method', ['fork', pytest.param('spawn', marks=pytest.mark.slow)])
def test_workers_skip_and_count_together(method, some_broken, capfd, monkeypatch):
    monkeypatch.setattr(MMLogger, '_instance_dict', {})  # one of another test writes elsewhere
    pipeline = [dict(type='LoadImageFromFile', on_corrupt='skip')]
    loader = DataLoader(
        BaseDataset(some_broken, pipeline=pipeline),
        num_workers=2,
        collate_fn=list,
        persistent_workers=True,
        multiprocessing_context=method,
    )
    loaded = [sample['img_path'] for _ in range(2) for (sample,) in loader]
    assert len(loaded) == 24
    assert not {name for path in loaded for name in re.findall(r'/([0-3])\.jpg', path)}
    output = ''.join(capfd.readouterr())
    skipped = re.findall(r'skipped image (\d+) of at most 100: \S+/([0-3])\.jpg is broken', output)
    assert len(skipped) >= 8  # more where another broken one was drawn
    assert sorted(int(count) for count, _ in skipped) == list(range(1, len(skipped) + 1))
    assert {name for _, name in skipped} == {'0', '1', '2', '3'}


def test_importing_the_replacements_suffices():
    code = (
        'import sys, mmrsir.replacements; from mmengine.registry import TRANSFORMS; '
        'print(TRANSFORMS.get("LoadImageFromFile").__module__, '
        '*({"mmdet", "mmseg"} & set(sys.modules)))'
    )
    done = subprocess.run([sys.executable, '-c', code], capture_output=True, text=True, check=True)
    assert done.stdout == 'mmrsir.datasets.loading.images\n'


@pytest.mark.parametrize('path', CONFIGS)
def test_every_config_refuses_broken_images(path):
    cfg = read(path)
    init_default_scope(cfg.default_scope)
    assert {'mmrsir', 'mmrsir.replacements'} <= set(cfg.custom_imports.imports)
    for part in ('train_dataloader', 'val_dataloader', 'test_dataloader', 'tta_pipeline'):
        found = list(transforms_of(cfg.get(part), 'LoadImageFromFile'))
        assert found or part not in cfg
        for settings in found:
            assert type(TRANSFORMS.build(settings)) is LoadImageFromFile


@pytest.mark.parametrize(
    ('scope', 'inferencer'),
    [
        ('mmdet', DetInferencer),
        ('mmseg', MMSegInferencer),
        ('mmpretrain', ImageClassificationInferencer),
    ],
)
def test_inferencers_find_the_transform(scope, inferencer, write):
    """They look for its name, and put their own in its place."""
    init_default_scope(scope)
    cfg = Config(copy.deepcopy(read(SHAPES[scope]).to_dict()))
    pipeline = inferencer._init_pipeline(inferencer.__new__(inferencer), cfg)
    kinds = [type(transform).__name__ for transform in pipeline.transforms]
    assert 'LoadImageFromFile' not in kinds
    if scope != 'mmpretrain':  # which loads by itself
        with pytest.raises(CorruptImageError, match='is broken'):
            pipeline(write(encode()[:-9]))


def test_cut_label_map_is_refused_by_name(shapes, tmp_path):
    init_default_scope('mmseg')
    settings = read(SHAPES['mmseg']).train_dataloader.dataset
    folder = tmp_path / 'annotations'
    folder.mkdir()
    for path in (shapes / 'ade/annotations/training').iterdir():
        data = path.read_bytes()
        (folder / path.name).write_bytes(data[: len(data) // 2])
    prefix = dict(img_path=f'{shapes}/ade/images/training', seg_map_path=str(folder))
    dataset = DATASETS.build(dict(settings, data_root='', data_prefix=prefix))
    label_map = dataset.get_data_info(0)['seg_map_path']
    load_first = partial(load_samples, dataset, [PlacedIndex(0, (0,))])
    with pytest.raises(SampleError, match=f'{re.escape(label_map)}.*(truncated|Truncated)'):
        load_first()
