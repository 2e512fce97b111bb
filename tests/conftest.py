"""Data that several tests share."""

import gc
import json
from pathlib import Path

import pytest
from mmdet.datasets import CocoDataset

from mmrsir.datasets.converters import camvid, dsb2018, tiny_imagenet
from mmrsir.datasets.converters.caltech256 import CALTECH256
from mmrsir.datasets.converters.conversion import convert
from mmrsir.datasets.converters.digits import make_digits
from mmrsir.datasets.converters.miniimagenet import MINIIMAGENET
from mmrsir.datasets.shapes.dataset import make_shapes

from .helpers import image_trees
from .helpers.image_trees import write_images


def pytest_collection_finish() -> None:
    """Spare garbage collection what the imports left: each data set begins with one."""
    gc.freeze()


@pytest.fixture(scope='session')
def shapes(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A small set of generated shapes in COCO, ADE20K and ImageNet layout."""
    root = tmp_path_factory.mktemp('data') / 'shapes'
    make_shapes(root, num_train=8, num_val=5, num_cls_train=4, num_cls_val=2)
    return root


@pytest.fixture(scope='session')
def coco2017(shapes: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The generated shapes under COCO's own file and category names."""
    root = tmp_path_factory.mktemp('data') / 'coco'
    (root / 'annotations').mkdir(parents=True)
    for split in ('train', 'val'):
        (root / f'{split}2017').symlink_to(shapes / 'coco' / split)
        content = json.loads((shapes / f'coco/annotations/instances_{split}.json').read_text())
        names = CocoDataset.METAINFO['classes']  # the first ids are those of the shapes
        content['categories'] = [{'id': i, 'name': name} for i, name in enumerate(names, start=1)]
        (root / f'annotations/instances_{split}2017.json').write_text(json.dumps(content))
    return root


@pytest.fixture(scope='session')
def data(shapes: Path, coco2017: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Small data sets where the configs expect the real ones: a folder in place of ``data``."""
    root = tmp_path_factory.mktemp('data') / 'all'
    (root / 'ade').mkdir(parents=True)
    (root / 'shapes').symlink_to(shapes)
    (root / 'coco').symlink_to(coco2017)
    (root / 'ade/ADEChallengeData2016').symlink_to(shapes / 'ade')
    (root / 'imagenet').symlink_to(shapes / 'imagenet')
    make_digits(root / 'digits')
    for image_set, folder, classes in (
        (CALTECH256, 'caltech256', ('001.one', '002.two')),
        (MINIIMAGENET, 'miniimagenet', ('n00000001', 'n00000002')),
    ):
        images = root / folder / 'images'
        write_images(images, [f'{name}/{name}_{i}.jpg' for name in classes for i in range(12)])
        convert(image_set, images, root / folder, root / folder / 'manifest.json')
    originals = tmp_path_factory.mktemp('data') / 'originals'
    tiny_imagenet.convert(
        image_trees.tiny_imagenet(originals / 'tiny-imagenet-200'), root / 'tiny_imagenet'
    )
    camvid.convert(
        image_trees.camvid(originals / 'CamVid'), root / 'camvid', image_trees.CAMVID_SPLIT
    )
    dsb2018.convert(
        image_trees.nuclei(originals / 'stage1_train', [f'{i:02}' for i in range(20)], (128, 128)),
        image_trees.nuclei(originals / 'stage1_test', ['50', '51']),
        root / 'dsb2018',
    )
    image_trees.pedestrians(root / 'pennfudan')
    image_trees.tool('masks_to_coco')(
        [
            f'{root}/pennfudan/PNGImages',
            f'{root}/pennfudan/PedMasks/{{stem}}_mask.png',
            *('--classes', 'pedestrian', '--out-dir', f'{root}/pennfudan/coco'),
        ]
    )
    return root
