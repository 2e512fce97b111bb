"""Small copies of public data sets, and what mmpretrain reads of them."""

import io
import os
from collections import Counter
from functools import cache
from importlib import import_module

import numpy as np
import pytest
from mmengine.registry import init_default_scope
from mmpretrain.datasets import CustomDataset
from mmpretrain.registry import DATASETS
from PIL import Image

from mmrsir.engine.config_files import read_file
from mmrsir.utils.errors import UserError

from .commands import ROOT


def image(size=(12, 9), form='JPEG'):
    """The bytes of a small image."""
    file = io.BytesIO()
    Image.new('RGB', size, (200, 30, 90)).save(file, form)
    return file.getvalue()


def write_images(folder, names):
    """Write a JPEG under each name; folders are made."""
    for name in names:
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(image())


def link_images(folder, names):
    """As write_images for tens of thousands of names, which share the bytes of one JPEG."""
    first = folder / 'first'
    write_images(folder, ['first'])
    for parent in {os.path.dirname(name) for name in names}:
        (folder / parent).mkdir(parents=True, exist_ok=True)
    for name in names:
        os.link(first, folder / name)
    first.unlink()


def files(folder):
    """The files below a folder, as paths below it."""
    return {str(path.relative_to(folder)) for path in folder.rglob('*') if path.is_file()}


def fails(run, *said):
    """Return the message of the error that a user can mend, which says this."""
    with pytest.raises((UserError, OSError)) as error:
        run()
    for text in said:
        assert text in str(error.value)
    return str(error.value)


def tool(name):
    """A converter's command line as a function."""
    return import_module(f'tools.dataset_converters.{name}').main


@cache
def _config(path):
    return read_file(ROOT / path)


def read(config, part, root):
    """Build the data set of a part of a config on a data root."""
    init_default_scope('mmpretrain')
    settings = _config(config)[f'{part}_dataloader'].dataset.copy()
    if 'classes' in settings:
        settings['classes'] = f'{root}/meta/classes.txt'
    # Serialization, which changes nothing for one process, begins with a slow garbage collection.
    dataset = DATASETS.build(dict(settings, data_root=f'{root}/', serialize_data=False))
    assert isinstance(dataset, CustomDataset)
    return dataset


def images(dataset):
    """The label of each image of a data set by its path; all of them exist."""
    samples = dataset.load_data_list()
    labels = {os.path.abspath(sample['img_path']): sample['gt_label'] for sample in samples}
    assert len(labels) == len(samples) == len(dataset)
    assert all(map(os.path.isfile, labels))
    return labels


def counts(labels):
    """Number of images of each label."""
    return dict(Counter(labels.values()))


def noise(size, mode='RGB', seed=0):
    """A picture of noise of a width and height, another for each seed."""
    channels = {'L': (), 'RGB': (3,), 'RGBA': (4,)}[mode]
    values = np.random.default_rng(seed).integers(0, 256, (size[1], size[0], *channels), np.uint8)
    return Image.fromarray(values, mode)


def save(picture, path):
    """Save a picture; folders are made."""
    path.parent.mkdir(parents=True, exist_ok=True)
    picture.save(path)


TINY_CLASSES = {'n02': 'crane, a bird', 'n01': 'goldfish, Carassius auratus', 'n03': 'crane'}


def tiny_imagenet(folder, train=4, val=2):
    """Write a small Tiny-ImageNet; validation images go through the classes in turn."""
    rows = [f'val_{i}.JPEG\t{list(TINY_CLASSES)[i % 3]}\t0\t0\t62\t62\n' for i in range(3 * val)]
    for number, name in enumerate(TINY_CLASSES):
        for i in range(train):
            picture = noise((64, 64), seed=number * train + i)
            save(picture, folder / f'train/{name}/images/{name}_{i}.JPEG')
    for i in range(len(rows)):
        mode = 'L' if i == 0 else 'RGB'
        save(noise((64, 64), mode, seed=1000 + i), folder / f'val/images/val_{i}.JPEG')
    save(noise((64, 64)), folder / 'test/images/test_0.JPEG')
    (folder / 'val/val_annotations.txt').write_text(''.join(rows))
    (folder / 'wnids.txt').write_text(''.join(f'{name}\n' for name in TINY_CLASSES))
    words = {**TINY_CLASSES, 'n99': 'entity'}
    (folder / 'words.txt').write_text(''.join(f'{k}\t{v}\n' for k, v in words.items()))
    return folder


CAMVID_SPLIT = {
    'train': ['0001TP_006690', '0006R0_f00930', '0016E5_00390', '0016E5_00420'],
    'val': ['0016E5_07959', '0016E5_07961'],
    'test': ['0001TP_008550', 'Seq05VD_f00000'],
}


def camvid(folder, split=None):
    """Write a small CamVid in the form of SegNet's tutorial."""
    for part, names in (split or CAMVID_SPLIT).items():
        for seed, name in enumerate(names):
            save(noise((480, 360), seed=seed), folder / part / f'{name}.png')
            labels = np.repeat(np.arange(12, dtype=np.uint8), 30)[:, None].repeat(480, 1)
            save(Image.fromarray(labels), folder / f'{part}annot' / f'{name}.png')
    return folder


def nuclei(folder, names, size=(60, 50), masks=True):
    """Write images of the 2018 Data Science Bowl with two nuclei each."""
    for seed, name in enumerate(names):
        save(noise(size, 'RGBA', seed), folder / f'{name}/images/{name}.png')
        if masks:
            for number, (left, top) in enumerate(((5, 4), (30, 20))):
                mask = np.zeros(size[::-1], np.uint8)
                mask[top : top + 10, left : left + 12] = 255
                save(Image.fromarray(mask), folder / f'{name}/masks/{name[:2]}{number}.png')
    return folder


def pedestrians(folder, count=5):
    """Write a small PennFudan: one mask an image, whose values are two people."""
    for seed in range(count):
        name = f'FudanPed{seed:05}'
        save(noise((60, 50), seed=seed), folder / f'PNGImages/{name}.png')
        mask = np.zeros((50, 60), np.uint8)
        mask[4:44, 5:20], mask[10:40, 30:45] = 1, 2
        save(Image.fromarray(mask), folder / f'PedMasks/{name}_mask.png')
    return folder
