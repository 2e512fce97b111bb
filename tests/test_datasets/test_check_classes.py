"""Classes that a config, the data and its splits name, and how often each of them occurs."""

import json
import re
import tracemalloc

import pytest

from mmrsir.datasets.check.findings import to_json, to_text
from mmrsir.datasets.class_names import names_of_folders

from ..helpers.checked_sets import (
    CATEGORIES,
    CLASSES,
    OBJECTS,
    TREES,
    change,
    coco,
    crowd,
    details,
    kinds,
    reports,
)
from ..helpers.small_sets import coco_record, config, write_coco, write_folders, write_maps


def test_sound_splits_have_no_fault(tmp_path):
    assert kinds(coco(tmp_path / 'coco')) == [set(), set()]
    maps = write_maps(tmp_path / 'maps', train=[[0, 1, 2]] * 2, val=[[0, 1, 2]])
    assert kinds(config('maps', maps, CLASSES, reduce_zero_label=False)) == [set(), set()]
    folders = write_folders(tmp_path / 'folders', train=CLASSES, val=CLASSES)
    assert kinds(config('folders', folders, CLASSES)) == [set(), set()]


def test_categories_in_another_order_in_val_are_an_error(tmp_path):
    val = dict(val=coco_record('val', CATEGORIES[::-1], OBJECTS))
    cfg = coco(tmp_path, val)
    assert kinds(cfg) == [set(), {'other-classes'}]
    (said,) = details(cfg, 'other-classes')
    assert said.startswith("label 0 is 'star' in") and "and 'box' in" in said
    assert '2 of 3 labels differ: the names are the same in another order' in said
    assert said.endswith('Let both files list the same classes in the same order')


def test_categories_in_another_order_than_in_the_config_are_an_error(tmp_path):
    turned = {s: coco_record(s, CATEGORIES[::-1], OBJECTS) for s in ('train', 'val')}
    cfg = coco(tmp_path, turned)
    assert kinds(cfg) == [{'class-order'}, {'class-order'}]
    names = [name for _, name in CATEGORIES[::-1]]
    assert details(cfg, 'class-order')[0].endswith(f'in the order of the data: {names}')


def test_other_ids_of_the_same_categories_are_no_fault(tmp_path):
    others = [(10 * one, name) for one, name in CATEGORIES]
    objects = [[10 * one for one in image] for image in OBJECTS]
    assert kinds(coco(tmp_path, dict(val=coco_record('val', others, objects)))) == [set(), set()]


def test_evaluator_that_reads_other_annotations_is_an_error(tmp_path):
    cfg = coco(tmp_path)
    (tmp_path / 'other.json').write_text(json.dumps(coco_record('val', CATEGORIES, OBJECTS[:2])))
    cfg.val_evaluator.ann_file = f'{tmp_path}/other.json'
    assert kinds(cfg) == [set(), {'evaluator-file'}]
    assert details(cfg, 'evaluator-file')[0].endswith(
        '1 of 3 images have other ids or none: val_3.png'
    )
    (tmp_path / 'more.json').write_text(json.dumps(coco_record('val', CATEGORIES, [*OBJECTS, [1]])))
    cfg.val_evaluator.ann_file = f'{tmp_path}/more.json'
    assert kinds(cfg) == [set(), set()]


CAPITALS = ['accordion', 'Faces', 'Leopards', 'zebra']
CAPITAL = ['beech', 'Maple', 'oak']
CODES = ['n01', 'n02', 'n03']
OTHER_NAME = ['beech', 'mapel', 'oak']
OTHER_CASE = ['Oak', 'beech', 'oak']
FOLDERS = {  # of train and val, the classes of the config, the kind of fault and what it says
    'capital in val': (TREES, CAPITAL, None, 'other-classes', "'Maple' in.*all capitals before"),
    'one less in val, and labels move': (TREES, ['beech', 'oak'], None, 'other-classes', ''),
    'alphabet': (CAPITALS, CAPITALS, CAPITALS, 'class-order', "label 0 is 'Faces'"),
    'another name': (OTHER_NAME, OTHER_NAME, TREES, 'other-name', "^'mapel' for 'maple'$"),
    'names alike but for case': (OTHER_CASE, OTHER_CASE, None, 'same-name', "^'Oak' and 'oak'$"),
    'order of the folders': (CAPITALS, CAPITALS, sorted(CAPITALS), None, ''),
    'codes, which are no names': (CODES, CODES, TREES[::-1], None, ''),
}


@pytest.mark.parametrize(('train', 'val', 'classes', 'kind', 'said'), FOLDERS.values(), ids=FOLDERS)
def test_folders_are_compared_with_the_config_and_with_train(
    train, val, classes, kind, said, tmp_path
):
    cfg = config('folders', write_folders(tmp_path, train=train, val=val), classes)
    expected = {kind} - {None}
    assert kinds(cfg) == [expected if train == val else set(), expected]
    assert all(re.search(said, detail) for detail in details(cfg, kind))


def test_last_folder_that_val_lacks_is_a_warning_with_its_name(tmp_path):
    cfg = config('folders', write_folders(tmp_path, train=TREES, val=TREES[:-1]))
    cfg.model = dict(head=dict(num_classes=3))
    assert kinds(cfg) == [set(), {'empty-class'}]
    assert details(cfg, 'empty-class') == [f'it has no folder {TREES[-1]!r}, a class of training']
    assert list(reports(cfg)[1].counts.names) == TREES


def test_folder_that_is_no_class_is_named(tmp_path):
    write_folders(tmp_path, train=[*TREES, '.ipynb_checkpoints'], val=TREES)
    (said,) = details(config('folders', tmp_path, TREES), 'class-count')
    assert "data has 4; the config does not have '.ipynb_checkpoints': delete" in said


def test_folder_that_val_lacks_is_to_be_made(tmp_path):
    cfg = config('folders', write_folders(tmp_path, train=TREES, val=TREES[:-1]), TREES)
    assert kinds(cfg) == [set(), {'class-count'}]
    assert details(cfg, 'class-count')[0].endswith(
        f'the data does not have {TREES[-1]!r}: make a folder of this name; it may stay empty'
    )
    (tmp_path / 'val' / TREES[-1]).mkdir()
    assert kinds(cfg) == [set(), {'empty-class'}]


def test_list_that_labels_folders_otherwise_than_the_config_is_an_error(tmp_path):
    write_folders(tmp_path, train=TREES, val=TREES)
    cfg = config('folders', tmp_path, TREES)
    for split, order in (('train', TREES), ('val', TREES[::-1])):
        lines = [f'{name}/{i}.png {label}\n' for label, name in enumerate(order) for i in (0, 1)]
        (tmp_path / f'{split}.txt').write_text(''.join(lines))
        cfg[f'{split}_dataloader'].dataset.ann_file = f'{split}.txt'
    assert kinds(cfg) == [set(), {'other-classes'}]


def test_other_classes_of_label_maps_in_val_are_an_error(tmp_path):
    cfg = config('maps', write_maps(tmp_path, train=[[0, 1, 2]], val=[[0, 1, 2]]), CLASSES)
    for split in ('train', 'val'):
        cfg[f'{split}_dataloader'].dataset.reduce_zero_label = False
    cfg.val_dataloader.dataset.metainfo.classes = CLASSES[::-1]
    assert kinds(cfg) == [set(), {'other-classes'}]


def test_palette_of_another_length_is_an_error_that_says_both_numbers(tmp_path):
    cfg = config('maps', write_maps(tmp_path, train=[[1, 2]], val=[[1, 2]]), CLASSES)
    cfg.train_dataloader.dataset.metainfo.palette = [[1, 2, 3]]
    with pytest.raises(ValueError, match='palette has 1 colors for 3 classes'):
        kinds(cfg)


def test_binary_masks_of_0_and_255_are_an_error(tmp_path):
    root = write_maps(tmp_path, train=[[0, 0, 0, 255]] * 2, val=[[0, 255]])
    cfg = config('maps', root, ['ground', 'road'], reduce_zero_label=False)
    assert kinds(cfg) == [{'single-class'}, {'single-class'}]
    assert details(cfg, 'single-class')[0] == (
        "of 2 classes only 'ground' occurs in the 2 images; 25.0% of the pixels are ignored "
        "(value 255); if 255 is 'road', replace it in the label maps: labels[labels == 255] = 1"
    )


def test_reduced_zero_of_labels_that_start_at_0_is_an_error(tmp_path):
    root = write_maps(tmp_path, train=[[0, 0, 1, 2]], val=[[0, 1, 2]])
    cfg = config('maps', root, CLASSES, reduce_zero_label=True)
    assert kinds(cfg) == [{'zero-label'}, {'zero-label'}]
    said = details(cfg, 'zero-label')[0]
    assert '0, which is ignored, fills 50.0% of the pixels' in said
    assert said.endswith("If 0 is 'box', set reduce_zero_label=False")
    write_maps(tmp_path, train=[[0, 1, 2, 3]], val=[[0, 1, 2, 3]])
    assert kinds(cfg) == [set(), set()]


def test_labels_are_counted_as_the_library_loads_them(tmp_path):
    from mmseg.datasets import ADE20KDataset

    names = ADE20KDataset.METAINFO['classes']
    cfg = config('maps', write_maps(tmp_path, train=[[0, 1, 3, 3]], val=[[1, 3]]))
    for split in ('train', 'val'):
        settings = dict(type='ADE20KDataset', metainfo=dict(classes=(names[2], names[0])))
        cfg[f'{split}_dataloader'].dataset.update(settings, reduce_zero_label=True)
        cfg[f'{split}_dataloader'].dataset.pop('ignore_index', None)
    train = reports(cfg)[0].counts
    assert train.columns == {'images': [1, 1], 'pixels': [640, 320]}
    assert train.ignored_pixels == 320 and train.ignored_values == {0: 320}


def test_label_maps_of_nothing_but_ignored_pixels_are_an_error(tmp_path):
    cfg = config('maps', write_maps(tmp_path, train=[[255]], val=[[0, 1, 2]]), CLASSES)
    for split in ('train', 'val'):
        cfg[f'{split}_dataloader'].dataset.reduce_zero_label = False
    assert kinds(cfg) == [{'nothing-to-learn'}, set()]


def test_crowds_alone_are_an_error(tmp_path):
    train = change(coco_record('train', CATEGORIES, OBJECTS), crowd())
    cfg = coco(tmp_path, dict(train=train))
    assert kinds(cfg) == [{'nothing-to-learn'}, set()]
    assert details(cfg, 'nothing-to-learn') == [
        'no boxes of any class in the 3 images: 6 have iscrowd=1 (write 0 for single objects)'
    ]


@pytest.mark.parametrize(
    ('edit', 'kind'),
    [
        (crowd(2), 'crowd-class'),
        (lambda one: one.update(ignore=one['category_id'] == 2), 'ignored-class'),
    ],
)
def test_class_that_is_nearly_all_crowd_or_ignored_is_a_warning(tmp_path, edit, kind):
    cfg = coco(tmp_path, dict(train=change(coco_record('train', CATEGORIES, OBJECTS), edit)))
    assert kinds(cfg)[0] >= {kind, 'empty-class'}
    assert details(cfg, kind) == ["'disc' (2 of 2)"]
    assert details(cfg, 'empty-class') == ["1 of 3 classes have no boxes in the 3 images: 'disc'"]


def test_rare_class_is_a_warning(tmp_path):
    cfg = coco(tmp_path, dict(train=coco_record('train', CATEGORIES, [[1, 2]] * 15 + [[3]])))
    assert details(cfg, 'rare-class') == ["1 of 3 classes: 'star' (1 boxes in 1 images)"]


def test_class_of_a_few_pixels_is_a_warning(tmp_path):
    from PIL import Image

    root = write_maps(tmp_path, train=[[0, 1]] * 20, val=[[0, 1, 2]])
    for path in (root / 'labels/train').iterdir():
        labels = Image.open(path)
        labels = labels.resize((320, 240), Image.Resampling.NEAREST)
        labels.putpixel((0, 0), 2)
        labels.save(path)
    cfg = config('maps', root, CLASSES, reduce_zero_label=False)
    (said,) = details(cfg, 'rare-class')
    assert said == "1 of 3 classes: 'star' (20 pixels in 20 images)"


def test_table_shows_what_each_split_has_of_each_class(tmp_path):
    cfg = coco(tmp_path, dict(val=coco_record('val', CATEGORIES, [[1, 1], [1, 2]])))
    found = reports(cfg)
    lines = [' '.join(line.split()) for line in to_text(found).splitlines()]
    assert 'class train images train boxes train masks val images val boxes val masks' in lines
    assert 'box 2 2 2 2 3 3' in lines and 'star 2 2 2 0 0 0' in lines
    numbers = json.loads(to_json(found))['datasets'][1]['counts']
    assert numbers['names'] == CLASSES and numbers['columns']['boxes'] == [3, 1, 0]


def test_table_of_many_classes_shows_the_rarest(tmp_path):
    names = [f'c{i:02}' for i in range(40)]
    categories = list(enumerate(names, start=1))
    objects = [[one] * (one + 1) for one, _ in categories]
    root = write_coco(
        tmp_path,
        train=coco_record('train', categories, objects[::-1]),
        val=coco_record('val', categories, objects),
    )
    text = to_text(reports(config('coco', root, names)))
    assert 'the rarest 30 of 40 classes' in text
    assert 'c29 ' in text and 'c30 ' not in text


def test_a_label_that_is_far_too_large_costs_little_memory():
    tracemalloc.start()
    try:
        names = names_of_folders({'/data/oak/0.png': 0, '/data/pine/0.png': 10**5}, '/data')
        _, most = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert (len(names), names[0], names[1], names[-1]) == (10**5 + 1, 'oak', None, 'pine')
    assert most < 32 * 10**5
