"""Data sets as the check of data sets reports on them."""

import os
from copy import deepcopy

from mmrsir.datasets.check.configs import check_config

from .configs import SHAPES, read
from .small_sets import coco_record, config, write_coco

CONFIGS = dict(zip(('coco', 'ade', 'imagenet'), SHAPES.values(), strict=True))


class InProcess:
    """Inspects in this process, which takes less time."""

    def inspect(self, function, paths, title):
        return map(function, paths)


def check(layout, root, splits=('train',), **settings):
    """Reports on a data root, for settings of the data set that differ from the config's."""
    cfg = deepcopy(read(CONFIGS[layout]))
    for split in splits:
        cfg[f'{split}_dataloader'].dataset.update(data_root=f'{root}/', **settings)
    return list(check_config(cfg, splits, InProcess()))


def faults(layout, root, **settings):
    """Kind and path of all faults of the training data, as paths below the root."""
    (report,) = check(layout, root, **settings)
    found = [(fault.kind, os.path.relpath(fault.path, root)) for fault in report.faults]
    assert len(found) == len(set(found)), found
    return set(found)


CLASSES = ['box', 'disc', 'star']
CATEGORIES = list(enumerate(CLASSES, start=1))
OBJECTS = [[1, 2], [2, 3], [1, 3]]


def reports(cfg):
    return check_config(cfg, ['train', 'val'], InProcess())


def kinds(cfg):
    """The kinds of faults of each split."""
    return [{fault.kind for fault in report.faults} for report in reports(cfg)]


def details(cfg, kind):
    return [fault.detail for one in reports(cfg) for fault in one.faults if fault.kind == kind]


def coco(root, train=None, val=None):
    """A COCO config, of which the categories or all of a split may differ."""
    sound = {split: coco_record(split, CATEGORIES, OBJECTS) for split in ('train', 'val')}
    return config('coco', write_coco(root, **(sound | (train or {}) | (val or {}))), CLASSES)


TREES = ['beech', 'maple', 'oak']


def change(content, edit):
    """Edit annotations of a COCO file."""
    for annotation in content['annotations']:
        edit(annotation)
    return content


def crowd(which=None):
    def edit(annotation):
        annotation['iscrowd'] = int(which is None or annotation['category_id'] == which)

    return edit
