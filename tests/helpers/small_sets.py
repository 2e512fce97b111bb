"""Tiny data sets of two splits, in which classes can be named, ordered and left out at will."""

import json
from copy import deepcopy
from pathlib import Path

import numpy as np
from PIL import Image

from .configs import SHAPES, read

SIZE = (40, 32)  # filters leave out images with a side under 32
CONFIGS = dict(zip(('coco', 'maps', 'folders'), SHAPES.values(), strict=True))


def picture(path, seed):
    """Write a picture of noise."""
    path.parent.mkdir(parents=True, exist_ok=True)
    noise = np.random.default_rng(seed).integers(0, 255, (*SIZE[::-1], 3), dtype=np.uint8)
    Image.fromarray(noise).save(path)


def coco_record(split, categories, objects):
    """The content of a COCO file.

    Args:
        split: ``'train'`` or ``'val'``.
        categories: Ids and names.
        objects: For each image, the ids of the categories of its objects.
    """
    width, height = SIZE
    images = [
        dict(id=i, file_name=f'{split}_{i}.png', width=width, height=height)
        for i in range(1, len(objects) + 1)
    ]
    box = dict(bbox=[2, 3, 12, 10], area=120, iscrowd=0)
    outline = [[2, 3, 14, 3, 14, 13, 2, 13]]
    annotations = [
        dict(image_id=i, category_id=category, segmentation=outline, **box)
        for i, present in enumerate(objects, start=1)
        for category in present
    ]
    return dict(
        images=images,
        categories=[dict(id=one, name=name) for one, name in categories],
        annotations=[dict(one, id=i) for i, one in enumerate(annotations, start=1)],
    )


def write_coco(root, **splits):
    """Write a COCO file of each split and its pictures."""
    for start, (split, content) in enumerate(splits.items()):
        (root / split).mkdir(parents=True, exist_ok=True)
        for image in content['images']:
            path = root / split / image['file_name']
            picture(path, seed=1000 * start + image['id'])
        (root / f'{split}.json').write_text(json.dumps(content))
    return root


def write_folders(root, number=2, **splits):
    """Write class folders of each split."""
    for start, (split, classes) in enumerate(splits.items()):
        for label, name in enumerate(classes):
            for i in range(number):
                picture(root / split / name / f'{i}.png', 1000 * start + 100 * label + i)
    return root


def write_maps(root, **splits):
    """Write pictures and label maps of each split: a map for each list of values, in stripes."""
    for start, (split, maps) in enumerate(splits.items()):
        for i, values in enumerate(maps):
            picture(root / 'images' / split / f'{i}.png', 1000 * start + i)
            stripes = np.resize(np.array(values, dtype=np.uint8), SIZE[::-1])
            path = root / 'labels' / split / f'{i}.png'
            path.parent.mkdir(parents=True, exist_ok=True)
            Image.fromarray(stripes).save(path)
    return root


def config(layout, root: Path, classes=None, **settings):
    """The shapes config of a layout on a tiny data set.

    Classifiers without ``classes`` have no number of classes: such a model cannot be built.
    """
    cfg = deepcopy(read(CONFIGS[layout]))
    for split, folder in (('train', 'train'), ('val', 'val'), ('test', 'val')):
        dataset = cfg[f'{split}_dataloader'].dataset
        dataset.update(data_root=str(root), **settings)
        if layout == 'coco':
            dataset.update(ann_file=f'{folder}.json', data_prefix=dict(img=folder))
            if split != 'train':
                cfg[f'{split}_evaluator'].ann_file = f'{root}/{folder}.json'
        elif layout == 'maps':
            prefix = dict(img_path=f'images/{folder}', seg_map_path=f'labels/{folder}')
            dataset.update(type='BaseSegDataset', img_suffix='.png', data_prefix=prefix)
        else:
            dataset.update(type='CustomDataset', ann_file='', data_prefix=folder)
        dataset.metainfo = dict(classes=classes) if classes else None
    if layout == 'folders':
        cfg.model.head.num_classes = len(classes or ()) or None
    return cfg
