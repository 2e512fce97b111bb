"""Each fault that is put into a sound data set is found, and nothing else."""

import json
import os
import shutil
import signal
import subprocess
import sys
import time
from copy import deepcopy
from functools import partial

import numpy as np
import pytest
from mmengine.registry import DATASETS, init_default_scope
from PIL import Image

import mmrsir.replacements  # noqa: F401  # as the configs do
from mmrsir.datasets.check.configs import check_config
from mmrsir.datasets.loading.mmpretrain import ImageListError
from mmrsir.utils.errors import plain_errors
from tools.misc import check_dataset

from ..helpers.checked_sets import CONFIGS, InProcess, check, faults
from ..helpers.commands import ROOT
from ..helpers.configs import read


@pytest.fixture
def ade(shapes, tmp_path):
    return shutil.copytree(shapes / 'ade', tmp_path / 'ade')


@pytest.fixture
def imagenet(shapes, tmp_path):
    return shutil.copytree(shapes / 'imagenet', tmp_path / 'imagenet')


@pytest.mark.parametrize('layout', ['ade', 'imagenet'])
def test_sound_data_set_has_no_fault(layout, shapes):
    assert faults(layout, shapes / layout) == set()


LABEL_MAP = 'annotations/training/shapes_train_000002.png'
LIST = 'meta/train.txt'
DISC = 'train/disc/disc_000002.jpg'


FILES = [
    ('coco', 'train/shapes_train_000002.jpg'),
    ('ade', LABEL_MAP),
    ('ade', 'images/training/shapes_train_000002.jpg'),
    ('imagenet', DISC),
]


@pytest.mark.parametrize(
    ('kind', 'layout', 'name'),
    [
        *((kind, *file) for kind in ('empty-file', 'damaged') for file in FILES),
        *(('missing-file', *file) for file in FILES[:2]),  # the others are not listed then
    ],
)
def test_broken_file_is_found(shapes, tmp_path, kind, layout, name):
    root = shutil.copytree(shapes / layout, tmp_path / layout)
    content = (root / name).read_bytes()
    (root / name).unlink()  # the layouts share their pictures
    if kind != 'missing-file':
        (root / name).write_bytes(content[:-300] if kind == 'damaged' else b'')
    found = faults(layout, root) - {('no-annotations', 'train/shapes_train_000003.jpg')}
    assert found == {(kind, name)}


def relabel(path, change):
    labels = np.asarray(Image.open(path)).copy()
    path.unlink()
    Image.fromarray(change(labels)).save(path)


def with_label(label):
    def change(labels):
        labels[3, 4] = label
        return labels

    return change


@pytest.mark.parametrize(
    ('kind', 'change'),
    [
        ('wrong-size', lambda labels: labels[:-1]),
        ('several-channels', lambda labels: np.stack([labels] * 3, axis=2)),
        ('label-range', with_label(6)),
        ('label-range', with_label(254)),
    ],
)
def test_fault_of_a_label_map_is_found(ade, kind, change):
    relabel(ade / LABEL_MAP, change)
    assert faults('ade', ade) == {(kind, LABEL_MAP)}


@pytest.mark.parametrize('label', [0, 5, 255])
def test_ignored_labels_and_the_last_class_are_no_fault(ade, label):
    relabel(ade / LABEL_MAP, with_label(label))
    assert faults('ade', ade) == set()


def test_labels_begin_with_the_first_class_unless_zero_is_reduced(ade):
    found = faults('ade', ade, reduce_zero_label=False)
    assert {kind for kind, _ in found} == {'label-range'} and len(found) == 8


def out_of_range(root, **settings):
    return {path for kind, path in faults('ade', root, **settings) if kind == 'label-range'}


def test_label_maps_of_ade20k_may_have_its_150_classes(ade):
    relabel(ade / LABEL_MAP, with_label(150))
    settings = dict(type='ADE20KDataset', metainfo=None)
    some = dict(settings, metainfo=dict(classes=('wall', 'sky')))
    assert out_of_range(ade, **settings) == out_of_range(ade, **some) == set()
    relabel(ade / LABEL_MAP, with_label(151))
    assert out_of_range(ade, **settings) == {LABEL_MAP}


def test_folder_without_images_is_an_error(ade):
    (ade / 'images/none').mkdir()
    prefix = dict(img_path='images/none', seg_map_path='annotations/training')
    found = faults('ade', ade, data_prefix=prefix)
    assert ('no-images', 'images/none') in found
    assert {kind for kind, _ in found} == {'no-images', 'passed-over'}  # label maps


@pytest.mark.parametrize(
    ('old', 'new', 'kind', 'path'),
    [
        ('disc/disc_000002.jpg 1', 'disc/disc_000002.jpg', 'bad-line', LIST),
        ('disc/disc_000002.jpg 1', 'disc/disc_000002.jpg one', 'bad-line', LIST),
        ('disc/disc_000002.jpg 1', 'disc/disc_000002.jpg,1', 'bad-line', LIST),
        ('disc/disc_000002.jpg 1', 'disc/disc_000002.jpg 4', 'label-range', DISC),
        ('disc/disc_000002.jpg 1', 'disc/disc_000002.jpg -1', 'label-range', DISC),
        ('disc_000002.jpg 1', 'disc_000009.jpg 1', 'missing-file', 'train/disc/disc_000009.jpg'),
        ('.jpg 1', '.jpg 0', 'empty-class', LIST),
    ],
)
def test_fault_of_a_list_is_found(imagenet, old, new, kind, path):
    text = (imagenet / LIST).read_text()
    assert faults('imagenet', imagenet, ann_file=LIST) == set()
    (imagenet / LIST).write_text(text.replace(old, new))
    assert faults('imagenet', imagenet, ann_file=LIST) == {(kind, path)}


@pytest.mark.parametrize(
    ('old', 'new'), [(b' ', b'\t'), (b'\n', b'\r\n\r\n'), (b'disc/', b'\xef\xbb\xbfdisc/')]
)
def test_lists_of_other_programs_are_read(imagenet, old, new):
    path = imagenet / LIST
    dataset = read(CONFIGS['imagenet']).train_dataloader.dataset
    init_default_scope('mmpretrain')

    def samples():
        settings = dict(dataset, data_root=f'{imagenet}/', ann_file=LIST, pipeline=[])
        return [*map(DATASETS.build(settings).get_data_info, range(16))]

    before = samples()
    path.write_bytes(path.read_bytes().replace(old, new))
    assert samples() == before
    assert faults('imagenet', imagenet, ann_file=LIST) == set()


def test_blanks_and_tabs_in_the_names_of_a_list_stay(tmp_path):
    names = ['a b/c  d.jpg', 'a\tb.jpg', 'x.jpg 3']
    init_default_scope('mmpretrain')
    for settings, label in ((dict(classes=list('abcd')), '\t 3'), (None, '')):
        (tmp_path / 'list.txt').write_text('\ufeff' + '\n'.join(name + label for name in names))
        dataset = DATASETS.build(
            dict(
                type='CustomDataset',
                data_root=f'{tmp_path}/',
                ann_file='list.txt',
                with_label=settings is not None,
                metainfo=settings,
                pipeline=[],
            )
        )
        paths = [dataset.get_data_info(index)['img_path'] for index in range(len(names))]
        assert paths == [f'{tmp_path}/{name}' for name in names]


@pytest.mark.parametrize(
    ('line', 'message'),
    [
        ('disc/a.jpg disc', r'line 1: .* must be a path, a blank and the number of a class'),
        ('disc/a.jpg', 'line 1: .* must be a path'),
        ('disc/a.jpg 4', 'line 1: no class has the label 4; the 4 classes have labels from 0 to 3'),
    ],
)
def test_a_line_that_names_no_class_ends_a_training_with_its_number(imagenet, line, message):
    (imagenet / LIST).write_text(f'{line}\n')
    settings = dict(type='CustomDataset', data_root=f'{imagenet}/', ann_file=LIST, pipeline=[])
    init_default_scope('mmpretrain')
    with pytest.raises(ImageListError, match=message):
        DATASETS.build(dict(settings, metainfo=dict(classes=list('abcd'))))


def test_list_that_is_no_text_is_found(imagenet):
    (imagenet / LIST).write_bytes(b'\xff\xfe')
    assert faults('imagenet', imagenet, ann_file=LIST) == {('bad-line', LIST)}


def test_images_without_labels_are_decoded(imagenet):
    (imagenet / DISC).write_bytes(b'')
    assert faults('imagenet', imagenet, with_label=False) == {('empty-file', DISC)}


def test_class_folder_without_images_is_a_warning(imagenet):
    for path in (imagenet / 'train/disc').iterdir():
        path.unlink()
    assert faults('imagenet', imagenet) == {('empty-class', 'train/disc')}


@pytest.mark.parametrize(
    'settings', [dict(ann_file=LIST, classes=['a', 'b', 'c']), dict(classes=['a', 'b', 'c'])]
)
def test_numbers_of_classes_that_differ_are_found(imagenet, settings):
    path = settings.get('ann_file', 'train')
    assert faults('imagenet', imagenet, **settings) == {('class-count', path)}


def test_folder_too_many_is_found(imagenet):
    (imagenet / 'train/__MACOSX').mkdir()
    expected = {('class-count', 'train'), ('empty-class', 'train/__MACOSX')}
    assert faults('imagenet', imagenet) == expected


def test_data_sets_below_wrappers_are_checked_each_once(imagenet):
    cfg = deepcopy(read(CONFIGS['imagenet']))
    (imagenet / DISC).write_bytes(b'')
    for split in ('train', 'val', 'test'):
        cfg[f'{split}_dataloader'].dataset.data_root = f'{imagenet}/'
    train, val = cfg.train_dataloader.dataset, cfg.val_dataloader.dataset
    cfg.train_dataloader.dataset = dict(
        type='RepeatDataset',
        times=2,
        dataset=dict(
            type='ConcatDataset', datasets=[val, dict(type='KFoldDataset', dataset=train)]
        ),
    )
    reports = list(check_config(cfg, None, InProcess()))
    assert [report.splits for report in reports] == [['train', 'val', 'test'], ['train']]
    kinds = [[fault.kind for fault in report.faults] for report in reports]
    assert kinds == [['trained-on'] * 8, ['empty-file']]


@pytest.mark.parametrize(
    ('layout', 'kind', 'said'),
    [
        ('imagenet', 'CIFAR10', 'of type CIFAR10 cannot be checked; allowed: mmdet.CocoDataset'),
        ('coco', 'CocoPanopticDataset', 'of type CocoPanopticDataset cannot be checked'),
        ('imagenet', 'Imagenet', 'the data set Imagenet cannot be built'),
    ],
)
def test_data_sets_of_other_kinds_are_refused(shapes, layout, kind, said):
    with pytest.raises(ValueError, match=said):
        check(layout, shapes / layout, type=kind)


@pytest.mark.parametrize(
    'settings',
    [
        dict(data_prefix='s3://bucket/train'),
        dict(pipeline=[dict(type='LoadImageFromFile', backend_args=dict(backend='lmdb'))]),
    ],
)
def test_files_of_another_storage_are_refused_and_not_called_missing(imagenet, settings):
    with pytest.raises(ValueError, match='only files in folders of this machine can be checked'):
        check('imagenet', imagenet, **settings)


def test_split_that_the_config_lacks_is_refused(imagenet):
    cfg = deepcopy(read(CONFIGS['imagenet']))
    cfg.test_dataloader = None
    with pytest.raises(ValueError, match="split='test' is unknown; allowed: 'train', 'val'"):
        list(check_config(cfg, ['test'], InProcess()))


def run(root, *arguments):
    """The exit code of the command line on the training images of class folders."""
    options = ['--split', 'train', '--cfg-options', f'train_dataloader.dataset.data_root={root}/']
    with pytest.raises(SystemExit) as stopped, plain_errors(2):
        check_dataset.main([str(ROOT / CONFIGS['imagenet']), *arguments, *options])
    return int(stopped.value.code)


def test_exit_code_and_json_tell_programs_what_was_found(imagenet, tmp_path):
    (imagenet / DISC).rename(imagenet / 'train/disc/other.png')
    assert run(imagenet, f'--json={tmp_path}/found.json') == 0  # a warning
    (imagenet / DISC).write_bytes(b'')
    assert run(imagenet, f'--json={tmp_path}/found.json') == 1
    found = json.loads((tmp_path / 'found.json').read_text())
    assert found['counts'] == {'wrong-suffix': 1, 'empty-file': 1}
    (report,) = found['datasets']
    assert report['splits'] == ['train'] and report['num_images'] == report['num_left'] == 16 + 1
    assert report['faults'][0] == {
        'level': 'error',
        'kind': 'empty-file',
        'path': str(imagenet / DISC),
        'detail': '0 bytes',
    }


def test_lines_of_each_kind_are_limited(imagenet, capsys):
    names = [f'train/disc/{number:02}.jpg' for number in range(11)]
    for name in names:
        (imagenet / name).write_bytes(b'')
    (imagenet / 'train/disc/z.jpg').write_bytes(b'text')
    assert run(imagenet) == 1
    said = capsys.readouterr().out
    assert 'error empty-file (11): it is empty' in said
    assert f'  train: {imagenet / names[4]}: 0 bytes\n  and 6 more, which --json lists' in said
    assert names[5] not in said and 'z.jpg: 4 bytes' in said
    assert said.endswith('errors: 12, warnings: 0\n')


def test_lines_are_in_the_order_of_their_numbers(imagenet, capsys):
    for number in (2, 10):
        (imagenet / f'train/disc/{number}.jpg').write_bytes(b'')
    assert run(imagenet) == 1
    said = capsys.readouterr().out
    assert said.index('disc/2.jpg') < said.index('disc/10.jpg')


def test_name_that_is_no_text_is_printed(imagenet, capsys):
    (imagenet / 'train/disc').joinpath(os.fsdecode(b'\xff.jpg')).write_bytes(b'')
    assert run(imagenet) == 1
    assert '\\udcff.jpg: 0 bytes' in capsys.readouterr().out


@pytest.mark.parametrize(
    ('arguments', 'said'),
    [
        (['--workers=0'], '--workers=0 must be at least 1'),
        (['--json=/dev/null/found.json'], 'Not a directory'),
    ],
)
def test_wrong_command_is_explained(imagenet, capsys, arguments, said):
    assert run(imagenet, *arguments) == 2
    assert said in capsys.readouterr().err


HANGING = """
import os, runpy, sys, time
from pathlib import Path
from mmrsir.datasets.check import images

def sleep(path, **settings):
    Path(FOLDER, f'{os.getpid()}.pid').touch()
    time.sleep(1000)

images.inspect_image = sleep
runpy.run_path(TOOL, run_name='__main__')
"""


@pytest.mark.slow
def test_interrupt_ends_all_processes_in_a_moment(imagenet, tmp_path):
    tool_path = ROOT / 'tools/misc/check_dataset.py'
    code = HANGING.replace('FOLDER', repr(str(tmp_path))).replace('TOOL', repr(str(tool_path)))
    options = ['--workers=2', '--split=val', '--cfg-options']
    root = f'val_dataloader.dataset.data_root={imagenet}/'
    command = [sys.executable, '-c', code, str(ROOT / CONFIGS['imagenet']), *options, root]
    process = subprocess.Popen(
        command,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
        cwd=ROOT,
        # What a shell starts in the background ignores it, and so would its children.
        preexec_fn=partial(signal.signal, signal.SIGINT, signal.SIG_DFL),
    )
    try:
        while len(workers := list(tmp_path.glob('*.pid'))) < 2 and process.poll() is None:
            time.sleep(0.05)
        os.killpg(process.pid, signal.SIGINT)  # as a terminal does
        _, error = process.communicate(timeout=60)
        assert process.returncode == 130
        assert error.endswith(': interrupted\n') and 'Traceback' not in error
        for worker in workers:
            with pytest.raises(ProcessLookupError):
                os.kill(int(worker.stem), 0)
    finally:
        process.kill()
