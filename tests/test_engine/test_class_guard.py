"""Classes that are mixed up stop a run before its first iteration; absent ones are named."""

import logging
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from mmengine.model import BaseModel
from mmengine.registry import MODELS
from mmengine.structures import BaseDataElement, PixelData
from torch import nn

from mmrsir.datasets import class_counts
from mmrsir.datasets.check.loaded import DatasetError
from mmrsir.datasets.class_counts import count_loaded
from mmrsir.datasets.class_names import found_names
from mmrsir.engine import launch, scopes
from mmrsir.engine.config_check import ConfigError
from mmrsir.engine.hooks.class_guard import ClassGuardHook

from ..helpers.checked_sets import CATEGORIES, CLASSES, OBJECTS, TREES, change, crowd
from ..helpers.small_sets import coco_record, config, write_coco, write_folders, write_maps

LAYOUTS = ('coco', 'maps', 'folders')


def sound(layout, root):
    """A config on tiny data that has no fault."""
    if layout == 'coco':
        splits = {split: coco_record(split, CATEGORIES, OBJECTS) for split in ('train', 'val')}
        return config('coco', write_coco(root, **splits), CLASSES)
    if layout == 'maps':
        root = write_maps(root, train=[[0, 1, 2]] * 2, val=[[0, 1, 2]] * 2)
        return config('maps', root, CLASSES, reduce_zero_label=False)
    return config('folders', write_folders(root, train=CLASSES, val=CLASSES), CLASSES)


def test_label_that_only_some_parts_ignore_stops_a_run(tmp_path):
    cfg = sound('maps', tmp_path)
    cfg.val_evaluator.ignore_index = 11
    with pytest.raises(ConfigError, match='val_evaluator.ignore_index: .*11 in val_evaluator'):
        build(cfg, tmp_path / 'run').call_hook('before_run')
    cfg.unchecked_settings = ['val_evaluator.ignore_index']
    build(cfg, tmp_path / 'meant').call_hook('before_run')


class ToyModel(BaseModel):
    """A model that costs nothing: it says that each picture is of the first class."""

    def __init__(self):
        super().__init__()
        self.weight = nn.Parameter(torch.zeros(1))

    def forward(self, inputs, data_samples=None, mode='tensor'):
        if mode == 'loss':
            return dict(loss=self.weight.sum() ** 2)
        return [sample.set_pred_label(0) for sample in data_samples]


@pytest.fixture(autouse=True)
def toy():
    MODELS.register_module(module=ToyModel)
    yield
    MODELS.module_dict.pop('ToyModel')


def build(cfg, folder, splits=('train', 'val')):
    """A runner whose loops of some splits are built."""
    cfg.merge_from_dict(dict(work_dir=str(folder), experiment_name=str(folder), launcher='none'))
    cfg.visualizer.update(name=str(folder), vis_backends=[dict(type='LocalVisBackend')])
    cfg.model = dict(type='ToyModel')
    cfg.pop('data_preprocessor', None)
    cfg.optim_wrapper = dict(type='OptimWrapper', optimizer=dict(type='SGD', lr=0.1))
    kept = ('logger', 'checkpoint')
    cfg.default_hooks = {name: cfg.default_hooks[name] for name in kept}
    object.__setattr__(cfg, '_format_python_code', False)
    for split in ('train', 'val', 'test'):
        cfg[f'{split}_dataloader'].update(num_workers=0, persistent_workers=False)
    scopes.set_dataloader_defaults(cfg)
    runner = launch.build_runner(cfg, splits)
    for split in splits:
        getattr(runner, f'{split}_loop')
    return runner


def guard_of(runner):
    (guard,) = (hook for hook in runner.hooks if isinstance(hook, ClassGuardHook))
    return guard


def begin(cfg, folder):
    """Do what a training does before its first iteration; return the guard."""
    runner = build(cfg, folder)
    guard = guard_of(runner)
    guard.before_run(runner)
    return guard


@pytest.fixture
def said(monkeypatch):
    """What loggers say, of a level up from INFO."""
    messages = []
    handle = logging.Logger.handle
    monkeypatch.setattr(
        logging.Logger,
        'handle',
        lambda self, record: (messages.append(record), handle(self, record)),
    )
    return lambda level=logging.INFO: [
        record.getMessage() for record in messages if record.levelno >= level
    ]


@pytest.mark.parametrize('layout', LAYOUTS)
def test_training_says_how_often_each_class_occurs(layout, tmp_path, said):
    guard = begin(sound(layout, tmp_path / 'data'), tmp_path / 'run')
    (table,) = (one for one in said() if one.startswith('classes'))
    assert table.splitlines()[1].split()[:3] == ['class', 'train', 'images']
    assert all(f'\n{name} ' in table for name in CLASSES)
    assert not [one for one in said(logging.WARNING) if '-class' in one]
    assert not guard.rests_on_too_few


def coco(tmp_path, **splits):
    records = {split: coco_record(split, CATEGORIES, OBJECTS) for split in ('train', 'val')}
    return config('coco', write_coco(tmp_path / 'data', **(records | splits)), CLASSES)


def test_training_refuses_categories_of_val_in_another_order(tmp_path):
    cfg = coco(tmp_path, val=coco_record('val', CATEGORIES[::-1], OBJECTS))
    with pytest.raises(
        ConfigError, match="label 0 is 'star' in .*val.json of val_dataloader and"
    ) as refused:
        begin(cfg, tmp_path / 'run')
    assert 'mixes up classes; tools/misc/check_dataset.py says what to write:' in str(refused.value)


def test_training_refuses_an_evaluator_of_other_annotations(tmp_path):
    cfg = coco(tmp_path, other=coco_record('train', CATEGORIES, OBJECTS))
    cfg.val_evaluator.ann_file = f'{tmp_path}/data/other.json'
    with pytest.raises(ConfigError, match='ann_file: .*other.json.* 3 of 3 images have other ids'):
        begin(cfg, tmp_path / 'run')


def test_training_refuses_classes_in_another_order_than_the_data(tmp_path):
    turned = {split: coco_record(split, CATEGORIES[::-1], OBJECTS) for split in ('train', 'val')}
    with pytest.raises(ConfigError, match="label 0 is 'star' in .*train.json of train_dataloader"):
        begin(coco(tmp_path, **turned), tmp_path / 'run')


def test_evaluators_of_panoptic_data_may_read_the_things_alone(tmp_path, monkeypatch):
    cfg = coco(tmp_path, things=coco_record('val', CATEGORIES[:2], OBJECTS))
    cfg.val_evaluator.ann_file = f'{tmp_path}/data/things.json'
    runner = build(cfg, tmp_path / 'run')
    with pytest.raises(ConfigError, match="things.json and 'star' in"):
        guard_of(runner).before_run(runner)
    # As in CocoPanopticDataset, which also has ``cat_ids``.
    kind = type('Panoptic', (type(runner.val_dataloader.dataset),), {'parse_data_info': None})
    runner.val_dataloader.dataset.__class__ = kind
    guard_of(runner).before_run(runner)


@pytest.mark.parametrize('classes', [None, TREES])
def test_training_refuses_a_folder_of_val_that_is_sorted_elsewhere(tmp_path, classes):
    root = write_folders(tmp_path / 'data', train=TREES, val=['beech', 'Maple', 'oak'])
    cfg = config('folders', root, classes)
    cfg.model.head.num_classes = 3
    with pytest.raises(ConfigError, match="label 0 is 'Maple' in the folders of val_dataloader"):
        begin(cfg, tmp_path / 'run')


def test_training_names_a_class_folder_too_many(tmp_path):
    root = write_folders(tmp_path / 'data', train=[*TREES, '.ipynb_checkpoints'], val=TREES)
    with pytest.raises(DatasetError, match=r"data has 4; .*does not have '\.ipynb_checkpoints'"):
        begin(config('folders', root, TREES), tmp_path / 'run')


def test_training_refuses_label_maps_of_other_classes_in_val_unless_they_are_meant(tmp_path):
    cfg = sound('maps', tmp_path / 'data')
    cfg.val_dataloader.dataset.metainfo.classes = CLASSES[::-1]
    with pytest.raises(ConfigError, match="label 0 is 'star' in the classes of val_dataloader"):
        begin(cfg, tmp_path / 'run')
    cfg.unchecked_settings = ['val_dataloader.dataset.metainfo']
    begin(cfg, tmp_path / 'meant')


def test_training_on_crowds_alone_is_refused(tmp_path):
    cfg = coco(tmp_path, train=change(coco_record('train', CATEGORIES, OBJECTS), crowd()))
    with pytest.raises(DatasetError, match='6 have iscrowd=1'):
        begin(cfg, tmp_path / 'run')


@pytest.mark.parametrize('layout', LAYOUTS)
def test_training_names_classes_that_occur_nowhere(layout, tmp_path, said):
    cfg = sound(layout, tmp_path / 'data')
    if layout == 'coco':
        cfg = coco(tmp_path, train=coco_record('train', CATEGORIES, [[1, 2], [2]]))
    elif layout == 'maps':
        write_maps(tmp_path / 'data', train=[[0, 1]] * 2)
    else:
        for file in (tmp_path / 'data/train/star').iterdir():
            file.unlink()
    begin(cfg, tmp_path / 'run')
    (warning,) = (one for one in said(logging.WARNING) if 'empty-class' in one)
    assert warning.startswith('train_dataloader: ') and "'star'" in warning


def test_training_warns_of_a_single_class(tmp_path, said):
    cfg = sound('maps', tmp_path / 'data')
    write_maps(tmp_path / 'data', train=[[0, 255]] * 2)
    begin(cfg, tmp_path / 'run')
    (warning,) = (one for one in said(logging.WARNING) if 'single-class' in one)
    assert "only 'box' occurs in the 2 images; 50.0% of the pixels are ignored" in warning


def evaluate(cfg, tmp_path, val):
    """Validate label maps without a model, and return the guard."""
    runner = build(cfg, tmp_path / 'run')
    guard = guard_of(runner)
    guard.before_run(runner)
    guard.before_val(runner)
    for values in val:
        labels = torch.tensor([values])
        sample = BaseDataElement(gt_sem_seg=PixelData(data=labels[None]))
        guard.after_val_iter(runner, 0, outputs=[sample])
    guard.after_val_epoch(runner, dict(mIoU=100.0))
    return guard


def test_class_without_ground_truth_is_named_beside_the_metric(tmp_path, said):
    guard = evaluate(sound('maps', tmp_path / 'data'), tmp_path, [[0, 0], [1, 255], [-1, 0]])
    assert said(logging.WARNING)[-1] == (
        "mIoU of val: no ground truth of 'star'. "
        'Such a class counts as 0 in mIoU if it is predicted anywhere, else not'
    )
    assert not guard.rests_on_too_few


def test_metric_of_a_single_class_is_not_the_best(tmp_path, said):
    cfg = sound('maps', tmp_path / 'data')
    cfg.default_hooks.checkpoint.update(save_best='mIoU')
    guard = evaluate(cfg, tmp_path, [[0, 0], [255, 0]])
    assert said(logging.WARNING)[-1] == (
        "mIoU of val: all ground truth is of 'box', none of 'disc', 'star'; "
        'no checkpoint is saved as the best one'
    )
    assert guard.rests_on_too_few


def test_best_checkpoint_is_spoken_of_only_where_one_is_wanted(tmp_path, said):
    evaluate(sound('maps', tmp_path / 'data'), tmp_path, [[0, 0], [255, 0]])
    assert said(logging.WARNING)[-1].endswith("none of 'disc', 'star'")


def test_classes_that_only_the_last_label_map_has_count(tmp_path, said):
    guard = evaluate(sound('maps', tmp_path / 'data'), tmp_path, [[0, 0], [0, 1], [2, 2]])
    assert not [one for one in said(logging.WARNING) if 'ground truth' in one]
    assert not guard.rests_on_too_few


def test_classes_without_an_object_are_named_once(tmp_path, said):
    cfg = coco(tmp_path, val=coco_record('val', CATEGORIES, [[1, 2], [2]]))
    runner = build(cfg, tmp_path / 'run')
    guard = guard_of(runner)
    guard.before_run(runner)
    (metric,) = runner.val_loop.evaluator.metrics
    assert metric.names_absent_classes is False
    guard.after_val_epoch(runner, {'coco/bbox_mAP': 0.5})
    assert said(logging.WARNING)[-1] == "coco/bbox_mAP of val: no ground truth of 'star'"


@pytest.mark.parametrize(('kept', 'best'), [(CLASSES[:2], True), (CLASSES[:1], False)])
def test_best_checkpoint_needs_two_classes_of_ground_truth(tmp_path, said, kept, best):
    cfg = sound('folders', tmp_path / 'data')
    for name in set(CLASSES) - set(kept):
        for file in (tmp_path / 'data/val' / name).iterdir():
            file.unlink()
    cfg.default_hooks.checkpoint.update(save_best='accuracy/top1')
    cfg.train_cfg.update(max_epochs=1, val_interval=1)
    cfg.param_scheduler = None
    cfg.val_evaluator = dict(type='Accuracy', topk=(1,))
    build(cfg, tmp_path / 'run').train()
    assert bool(list((tmp_path / 'run').glob('best_*.pth'))) == best
    (warning,) = (one for one in said(logging.WARNING) if 'ground truth' in one)
    assert warning.startswith('accuracy/top1 of val') and "'star'" in warning


def checkpoint(runner, classes, key='dataset_meta'):
    meta = dict(dataset_meta=dict(classes=classes)) if key else dict(CLASSES=classes)
    return dict(meta=meta, state_dict=runner.model.state_dict())


@pytest.mark.parametrize('key', ['dataset_meta', None])
@pytest.mark.parametrize('layout', LAYOUTS)
def test_test_refuses_a_checkpoint_of_other_classes(layout, key, tmp_path):
    runner = build(sound(layout, tmp_path / 'data'), tmp_path / 'run', ['test'])
    guard = guard_of(runner)
    guard.before_run(runner)
    guard.after_load_checkpoint(runner, checkpoint(runner, tuple(CLASSES), key))
    others = [CLASSES[::-1], CLASSES[:2], [*CLASSES, 'ring']]
    for classes in others[: 2 if layout == 'folders' else 3]:  # a folder may lack at the end
        with pytest.raises(ConfigError, match='the checkpoint'):
            guard.after_load_checkpoint(runner, checkpoint(runner, classes, key))


def test_test_compares_a_checkpoint_with_class_folders(tmp_path):
    root = write_folders(tmp_path / 'data', train=TREES, val=['beech', 'Maple', 'oak'])
    cfg = config('folders', root)
    cfg.model.head.num_classes = 3
    runner = build(cfg, tmp_path / 'run', ['test'])
    guard = guard_of(runner)
    guard.before_run(runner)
    with pytest.raises(ConfigError, match="label 0 is 'Maple' in the folders of test_dataloader"):
        guard.after_load_checkpoint(runner, checkpoint(runner, TREES))


def test_checkpoint_without_names_is_not_compared(tmp_path):
    runner = build(sound('folders', tmp_path / 'data'), tmp_path / 'run', ['test'])
    for meta in ({}, dict(dataset_meta={}), dict(dataset_meta=[])):
        content = dict(meta=meta, state_dict=runner.model.state_dict())
        guard_of(runner).after_load_checkpoint(runner, content)
    guard_of(runner).after_load_checkpoint(runner, runner.model.state_dict())


def test_training_may_start_from_weights_of_other_classes_but_not_be_resumed(tmp_path, said):
    runner = build(sound('folders', tmp_path / 'data'), tmp_path / 'run')
    other = checkpoint(runner, CLASSES[::-1])
    assert not said(logging.WARNING)
    guard_of(runner).after_load_checkpoint(runner, other)
    (warning,) = said(logging.WARNING)
    assert 'the same in another order' in warning
    runner._resume = True
    with pytest.raises(ConfigError, match='train_dataloader'):
        guard_of(runner).after_load_checkpoint(runner, other)


def test_large_data_sets_are_counted_by_a_sample(tmp_path, monkeypatch, said):
    monkeypatch.setattr(class_counts, 'MOST_RECORDS', 4)
    root = write_folders(tmp_path / 'data', number=4, train=CLASSES, val=CLASSES)
    guard = begin(config('folders', root, CLASSES), tmp_path / 'run')
    counts = guard._counts['train']
    assert (counts.num_images, counts.total) == (4, 12)
    assert len(counts.occurring) == 3  # evenly spaced: each class is met
    (table,) = (one for one in said() if one.startswith('classes'))
    assert '4 of 12 images of train' in table and 'check_dataset.py counts all' in table


def test_few_label_maps_are_decoded_before_a_training(tmp_path, monkeypatch):
    monkeypatch.setattr(class_counts, 'MOST_MAPS', 3)
    root = write_maps(tmp_path / 'data', train=[[0, 1, 2]] * 9, val=[[0, 1, 2]])
    cfg = config('maps', root, CLASSES, reduce_zero_label=False)
    counts = begin(cfg, tmp_path / 'run')._counts['train']
    assert (counts.num_images, counts.total) == (3, 9)


@pytest.mark.parametrize('wrapper', ['RepeatDataset', 'ConcatDataset'])
def test_wrapped_data_sets_are_counted(tmp_path, wrapper):
    cfg = sound('coco', tmp_path / 'data')
    inner = cfg.train_dataloader.dataset
    wrapped = dict(type='RepeatDataset', times=3, dataset=inner)
    if wrapper == 'ConcatDataset':
        wrapped = dict(type='ConcatDataset', datasets=[inner, inner])
    cfg.train_dataloader.dataset = wrapped
    dataset = build(cfg, tmp_path / 'run').train_dataloader.dataset
    counts = count_loaded(dataset, CLASSES)
    times = 2 if wrapper == 'ConcatDataset' else 1
    assert counts.columns['boxes'] == [2 * times] * 3


@pytest.mark.parametrize('decoy', [False, True])
def test_categories_are_read_without_the_rest_of_the_file(tmp_path, decoy):
    content = dict(coco_record('val', CATEGORIES[::-1], OBJECTS))
    if decoy:
        content['info'] = dict(categories=[dict(id=9, name='decoy')], text='"categories": [1')
    root = write_coco(tmp_path / 'data', val=content)
    dataset = SimpleNamespace(ann_file=str(root / 'val.json'), cat_ids=[3, 2, 1])
    assert found_names(dataset, 'val').names == ('star', 'disc', 'box')


def test_one_common_class_is_enough_to_count(tmp_path):
    counts = class_counts.ClassCounts.empty(['screw'], 'images')
    counts.add_labels([0])
    assert not counts.too_few and not list(counts.findings())
    assert np.sum(counts.columns['images']) == 1
