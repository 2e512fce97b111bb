"""Small copies of classification data sets, and what mmpretrain reads of them."""

import importlib.util
import io
import os
from collections import Counter
from functools import cache

from mmengine.config import Config
from mmengine.registry import init_default_scope
from mmpretrain.datasets import CustomDataset
from mmpretrain.registry import DATASETS
from PIL import Image

from ..test_engine.commands import ROOT


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


def tool(name):
    """A converter's command line as a function."""
    path = ROOT / f'tools/dataset_converters/{name}.py'
    spec = importlib.util.spec_from_file_location(f'{name}_tool', path)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module.main


@cache
def _config(path):
    return Config.fromfile(ROOT / path)


def read(config, part, root):
    """Build the data set of a part of a config on a data root."""
    init_default_scope('mmpretrain')
    settings = _config(config)[f'{part}_dataloader'].dataset
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
