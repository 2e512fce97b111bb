"""Texts that training cannot read are named with what to do, in configs and in annotations."""

import json

import pytest

from mmrsir.datasets.check.loaded import DatasetError, explain
from mmrsir.engine import launch
from mmrsir.engine.config_check import ConfigError
from mmrsir.utils.encoding import encoding_problem

from ..helpers.checked_sets import check
from ..helpers.small_sets import coco_record, write_coco

NAME = 'Kästchen'
ENCODINGS = {
    'utf-8-sig': 'UTF-8 with a byte order mark',
    'utf-16': 'UTF-16',
    'utf-32': 'UTF-32',
    'cp1252': "cp1252, it reads .*'.*Kästchen.*'",
}


@pytest.mark.parametrize('encoding', ENCODINGS)
def test_other_encodings_are_named(encoding):
    assert encoding_problem(NAME.encode()) == ''
    problem = encoding_problem(NAME.encode(encoding))
    assert problem.startswith('it is') and problem.endswith(
        'save it as UTF-8 without a byte order mark'
    )


@pytest.mark.parametrize('encoding', ENCODINGS)
def test_config_and_its_bases_in_other_encodings_are_named(encoding, tmp_path):
    text = f"default_scope = 'mmseg'\nname = '{NAME}'\n"
    (tmp_path / 'base.py').write_bytes(text.encode(encoding))
    (tmp_path / 'child.py').write_text("_base_ = './base.py'\n")
    for name in ('base', 'child'):
        with pytest.raises(ConfigError, match=rf'base\.py cannot be read: .*{ENCODINGS[encoding]}'):
            launch.read_config(str(tmp_path / f'{name}.py'), None)


def test_syntax_error_of_a_config_is_named_with_its_line(tmp_path):
    (tmp_path / 'config.py').write_text("default_scope = 'mmseg'\nx = (1,\n")
    with pytest.raises(ConfigError, match=r"config\.py cannot be read: line 2: .* 'x = \(1,'"):
        launch.read_config(str(tmp_path / 'config.py'), None)


@pytest.fixture
def small(tmp_path):
    content = coco_record('train', [(1, NAME)], [[1], [1]])
    return write_coco(tmp_path, train=content), content


@pytest.mark.parametrize('encoding', ENCODINGS)
def test_annotations_in_other_encodings_are_named(encoding, small):
    root, content = small
    path = root / 'train.json'
    path.write_bytes(json.dumps(content, ensure_ascii=False).encode(encoding))
    settings = dict(ann_file='train.json', data_prefix=dict(img='train'))
    (report,) = check('coco', root, metainfo=dict(classes=[NAME]), **settings)
    (fault,) = (one for one in report.faults if one.is_error)
    assert fault.kind == 'encoding'
    settings = dict(settings, type='CocoDataset', data_root=str(root))
    with pytest.raises(DatasetError, match=rf'^train_dataloader: encoding .*: {path}: it is'):
        explain(settings, 'train_dataloader')


def test_records_without_area_are_one_finding(small):
    root, content = small
    for annotation in content['annotations']:
        del annotation['area']
    (root / 'train.json').write_text(json.dumps(content))
    settings = dict(ann_file='train.json', data_prefix=dict(img='train'))
    (report,) = check('coco', root, metainfo=dict(classes=[NAME]), **settings)
    (fault,) = (one for one in report.faults if one.is_error)
    assert fault.detail.startswith(
        "2 of 2 annotations have no 'area': mmdet stops without it; write"
    )


def test_test_set_without_annotations_is_no_error(small):
    root, content = small
    for change in ({'annotations': []}, None):
        if change is None:
            del content['annotations']
        (root / 'train.json').write_text(json.dumps({**content, **(change or {})}))
        settings = dict(ann_file='train.json', data_prefix=dict(img='train'), test_mode=True)
        (report,) = check('coco', root, metainfo=dict(classes=[NAME]), **settings)
        kinds = {fault.kind for fault in report.faults}
        assert 'no-ground-truth' in kinds and 'no-annotations' not in kinds
        assert not report.has_errors
