"""Data that several tests share."""

import json
from pathlib import Path

import pytest
from mmdet.datasets import CocoDataset

from mmrsir.datasets.shapes import make_shapes


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
