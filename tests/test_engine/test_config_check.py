"""Mistakes in configs are named before a device is touched or data is read."""

import logging
import re
from copy import deepcopy
from importlib import import_module
from pathlib import Path
from types import SimpleNamespace

import pytest
import torch
from mmengine.config import Config
from mmengine.logging import MMLogger
from mmengine.model import BaseModule
from mmengine.runner import Runner
from mmpretrain.utils.dependency import WITH_MULTIMODAL
from torch import nn

from mmrsir.checkpoints.reading import CheckpointMismatchError
from mmrsir.engine import launch, scopes
from mmrsir.engine.config_check import (
    ConfigError,
    check_backends,
    check_classes,
    check_model,
    check_settings,
)
from mmrsir.engine.config_check.names import check_names
from mmrsir.engine.config_files import read_file
from mmrsir.models import RSIRTransformer

from ..helpers.commands import ROOT
from ..helpers.configs import CONFIGS, SHAPES
from ..helpers.configs import read as read_config

LIBRARIES = ('mmdet', 'mmseg', 'mmpretrain')
MOT_METRICS = "'MOTChallengeMetrics' is not registered; did you mean 'MOTChallengeMetric'"
# What is wrong in configs of the libraries: nothing that they install has such a name.
MISTAKES = {
    '_base_/datasets/coco_caption.py': "'PackInputs' is not registered",
    '_base_/models/resnet50_cifar_cutmix.py': "'BatchCutMix' is not registered",
    '_base_/models/resnet50_cutmix.py': "'BatchCutMix' is not registered",
    'bisenetv2/bisenetv2_fcn_4xb4-ohem-160k_cityscapes-1024x1024.py': 'models: is no setting',
    'bytetrack/bytetrack_yolox_x_8xb4-80e_crowdhuman-mot20train_test-mot20test.py': MOT_METRICS,
    'bytetrack/bytetrack_yolox_x_8xb4-amp-80e_crowdhuman-mot20train_test-mot20test.py': MOT_METRICS,
    'resnet/resnet50_8xb32-cutmix_in1k.py': "'BatchCutMix' is not registered",
}
# Configs of mmpretrain for which it registers nothing where the package transformers is missing.
MULTIMODAL = (
    'blip|chinese_clip|clip|flamingo|llava|minigpt4|ofa|otter|_base_/datasets/('
    'coco_(okvqa|retrieval|vg_vqa|vqa)|flickr30k|gqa|nocaps|ocrvqa|refcoco|vizwiz|vsr)'
)
SAMPLE = 40  # one config of so many


def read(library, **settings):
    """A config of small shapes with further settings."""
    cfg = deepcopy(read_config(SHAPES[library]))
    cfg.merge_from_dict(settings)
    return cfg


def mistakes(cfg, splits=(), error=ValueError):
    """The lines of the error that name a mistake."""
    with pytest.raises(error) as caught:
        check_settings(cfg, splits)
    _, *lines, way_on = str(caught.value).splitlines()
    assert 'unchecked_settings=' in way_on
    return [line.strip() for line in lines]


@pytest.mark.parametrize(
    ('setting', 'value', 'meant'),
    [
        ('param_schedular', [], 'param_scheduler'),
        ('load_form', 'epoch_1.pth', 'load_from'),
        ('optim_wraper', {}, 'optim_wrapper'),
        ('custom_hook', [], 'custom_hooks'),
        ('val_evaluater', {}, 'val_evaluator'),
        ('env_cfg.cudnn_bench_mark', True, 'cudnn_benchmark'),
        ('env_cfg.mp_cfg.opencv_num_thread', 1, 'opencv_num_threads'),
        ('auto_scale_lr.base_batchsize', 16, 'base_batch_size'),
        ('train_cfg.val_intervall', 2, 'val_interval'),
        ('val_cfg.fp_16', True, 'fp16'),
        ('train_dataloader.num_worker', 2, 'num_workers'),
        ('optim_wrapper.clip_grads', {}, 'clip_grad'),
        ('optim_wrapper.optimizer.weight_decays', 0.1, 'weight_decay'),
        ('optim_wrapper.paramwise_cfg.norm_decay_mul', 0.0, 'norm_decay_mult'),
        ('optim_wrapper.paramwise_cfg.custom_keys', {'a.b': {'lr_mul': 0.1}}, 'lr_mult'),
        ('param_scheduler.0.start_facter', 0.1, 'start_factor'),
        ('default_hooks.checkpoint.intervals', 1, 'interval'),
        ('model.backbones', {}, 'backbone'),
    ],
)
def test_mistyped_setting_is_named_with_the_nearest(setting, value, meant):
    cfg = read('mmdet', **{setting: value})
    (line,) = mistakes(cfg)
    assert line.startswith(setting)
    assert line.endswith(f"is no setting; did you mean '{meant}'?")


def test_classes_in_capitals_are_named():
    dataset = dict(type='CocoDataset', metainfo=dict(CLASSES=('a',)))
    cfg = Config(dict(default_scope='mmdet', train_dataloader=dict(dataset=dataset)))
    ((setting, problem),) = check_names(cfg)
    assert setting == 'train_dataloader.dataset.metainfo.CLASSES'
    assert problem == 'is not read: write classes'
    dataset['metainfo']['classes'] = ('a',)  # who reads these needs no others
    cfg = Config(dict(default_scope='mmdet', train_dataloader=dict(dataset=dataset)))
    assert list(check_names(cfg)) == []


def test_variables_that_help_to_write_a_config_are_no_mistakes():
    check_settings(
        read('mmdet', conv_cfg={}, optimizer={}, base_pipeline=[], train_dataloader_2={}), ()
    )


def test_hook_without_a_type_is_named_with_the_nearest():
    cfg = read('mmdet', **{'default_hooks.checkpont': dict(interval=2), 'custom_hooks': [dict()]})
    assert mistakes(cfg) == [
        "default_hooks.checkpont: has no type; did you mean 'checkpoint'?",
        'custom_hooks.0: has no type',
    ]


@pytest.mark.parametrize(
    ('library', 'setting', 'name', 'problem'),
    [
        (
            'mmdet',
            'model.backbone',
            'RSIRTransfomer',
            "registered; did you mean 'RSIRTransformer'?",
        ),
        ('mmdet', 'model.neck', 'mmdet.NASFPM', "registered; did you mean 'NASFPN'?"),
        ('mmseg', 'model.neck', 'JPUU', "registered; did you mean 'JPU'?"),
        ('mmseg', 'model.neck', 'mmdett.FPN', 'registered'),
        ('mmseg', 'model.neck', 'torch.nn.Linea', 'registered'),
        ('mmseg', 'train_dataloader.dataset.pipeline.1', 'PackDetInputs', 'registered; did'),
        ('mmpretrain', 'train_dataloader.sampler', 'DefaultSamper', 'registered; did'),
        ('mmpretrain', 'val_evaluator', 'Acuracy', "registered; did you mean 'Accuracy'?"),
        ('mmpretrain', 'default_hooks.timer', 'RSIRTransformer', 'a registered hook'),
        ('mmpretrain', 'custom_hooks.0', 'EMAHok', "a registered hook; did you mean 'EMAHook'?"),
        ('mmpretrain', 'param_scheduler.0', 'AdamW', 'a registered parameter scheduler'),
        ('mmpretrain', 'train_cfg', 'ValLop', "a registered loop; did you mean 'ValLoop'?"),
    ],
)
def test_unknown_type_is_named_with_the_nearest(library, setting, name, problem):
    cfg = read(library, custom_hooks=[dict(type='EMAHook')])
    cfg.merge_from_dict({setting: dict(type=name)})
    lines = [line for line in mistakes(cfg) if line.startswith(f'{setting}.type: ')]
    assert len(lines) == 1
    assert lines[0].startswith(f'{setting}.type: {name!r} is not {problem}')


@pytest.mark.parametrize(
    ('scope', 'name'),
    [
        (None, 'mmdet.FPN'),
        (None, 'mmengine.SGD'),
        (None, 'torch.nn.Linear'),
        ('mmdet', 'ChannelMapper'),
        ('mmpretrain', 'Mixup'),
    ],
)
def test_types_of_other_libraries_are_known(scope, name):
    cfg = read('mmseg')
    cfg.model.neck = dict(type=name)
    if scope is not None:
        cfg.model.neck._scope_ = scope
    check_settings(cfg, ())


def test_all_mistakes_are_named_at_once_and_each_can_be_meant():
    cfg = read('mmdet', **{'param_schedular': [], 'model.backbone.type': 'ResNt'})
    assert [line.partition(':')[0] for line in mistakes(cfg)] == [
        'param_schedular',
        'model.backbone.type',
    ]
    cfg.unchecked_settings = 'model.backbone'
    assert [line.partition(':')[0] for line in mistakes(cfg)] == ['param_schedular']
    cfg.unchecked_settings = ['model', 'param_schedular']
    check_settings(cfg, ())


def test_nothing_is_built_of_a_wrong_config(monkeypatch):
    def build(cfg):
        raise AssertionError

    monkeypatch.setattr(Runner, 'from_cfg', build)
    cfg = read('mmdet', launcher='none', param_schedular=[])
    with pytest.raises(ValueError, match='param_schedular'):
        launch.build_runner(cfg)
    cfg = read('mmdet', launcher='none', load_from='nowhere.pth')
    with pytest.raises(FileNotFoundError, match='load_from: nowhere.pth'):
        launch.build_runner(cfg)


def library_configs(library):
    folder = Path(import_module(library).__file__).parent / '.mim/configs'
    return {str(path.relative_to(folder)): path for path in sorted(folder.rglob('*.py'))}


def alarms(library, paths):
    """Lines of the errors that configs give, and configs that cannot be loaded."""
    lines, unloadable = {}, []
    for name, path in paths.items():
        try:
            cfg = read_file(path)
        except Exception:  # some inherit from what does not exist
            unloadable.append(name)
            continue
        cfg.setdefault('default_scope', library)
        try:
            check_settings(cfg, ())
        except ValueError as error:
            lines[name] = str(error).splitlines()[1:-1]
    return lines, unloadable


@pytest.mark.parametrize('library', LIBRARIES)
def test_no_false_alarm_in_a_sample_of_configs(library):
    names = [name for name in library_configs(library) if not re.match(MULTIMODAL, name)]
    paths = {name: library_configs(library)[name] for name in names[::SAMPLE]}
    paths['ours'] = ROOT / SHAPES[library]
    assert alarms(library, paths) == ({}, [])


@pytest.mark.slow
def test_no_false_alarm_in_our_configs():
    assert alarms('mmdet', {path: ROOT / path for path in CONFIGS}) == ({}, [])


@pytest.mark.slow
@pytest.mark.parametrize(
    ('library', 'number_unloadable'), [('mmdet', 4), ('mmseg', 0), ('mmpretrain', 6)]
)
def test_no_false_alarm_in_any_config_of_the_libraries(library, number_unloadable):
    """The mistakes that are found are mistakes."""
    lines, unloadable = alarms(library, library_configs(library))
    assert len(unloadable) == number_unloadable
    for name, found in lines.items():
        if re.match(MULTIMODAL, name) and not WITH_MULTIMODAL:
            continue
        assert all(re.search(MISTAKES[name], line) for line in found)


@pytest.fixture
def folders(tmp_path):
    """A data set of mmdet's layout, and a config that reads it."""
    for name in ('train', 'val', 'annotations'):
        (tmp_path / 'data' / name).mkdir(parents=True)
    for split in ('train', 'val'):
        (tmp_path / f'data/annotations/instances_{split}.json').touch()
    data = f'{tmp_path}/data/'
    cfg = read('mmdet')
    for split in ('train', 'val', 'test'):
        cfg[f'{split}_dataloader'].dataset.data_root = data
    for split in ('val', 'test'):
        cfg[f'{split}_evaluator'].ann_file = f'{data}annotations/instances_val.json'
    return cfg, tmp_path


def test_all_missing_paths_are_named_at_once(folders):
    cfg, root = folders
    check_settings(cfg, ('train', 'val', 'test'))
    train = cfg.train_dataloader.dataset
    train.ann_file = 'annotations/instances_trian.json'
    train.data_prefix.img = f'{root}/data/tarin/'
    cfg.val_dataloader.dataset.data_root = f'{root}/date/'
    cfg.val_evaluator.ann_file = f'{root}/dat/annotations/instances_val.json'
    cfg.load_from = f'{root}/epoch_1.pth'
    cfg.model.backbone.init_cfg = dict(type='Pretrained', checkpoint=f'{root}/clasifier.pth')
    for name in ('epoch_2', 'classifier'):
        (root / f'{name}.pth').touch()
    lines = mistakes(cfg, ('train', 'val'), FileNotFoundError)
    found = dict(line.split(': ', 1) for line in lines)
    data = root / 'data'
    assert {setting: line.rpartition('mean ')[2] for setting, line in found.items()} == {
        'load_from': f'{root}/epoch_2.pth?',
        'model.backbone.init_cfg.checkpoint': f'{root}/classifier.pth?',
        'train_dataloader.dataset.ann_file': f'{data}/annotations/instances_train.json?',
        'train_dataloader.dataset.data_prefix.img': f'{data}/train?',
        'val_dataloader.dataset.data_root': f'{data}?',
        'val_evaluator.ann_file': f'{data}?',
    }


def test_only_what_a_run_uses_must_exist(folders):
    cfg, _ = folders
    cfg.train_dataloader.dataset.data_root = 'nowhere'
    cfg.model.backbone.init_cfg = dict(type='Pretrained', checkpoint='nowhere.pth')
    check_settings(cfg, ('test',))
    lines = mistakes(cfg, ('train',), FileNotFoundError)
    assert sorted(line.partition(':')[0] for line in lines) == [
        'model.backbone.init_cfg.checkpoint',
        'train_dataloader.dataset.data_root',
    ]


def test_data_sets_below_wrappers_are_found(folders):
    cfg, _ = folders
    part = cfg.train_dataloader.dataset
    parts = [part, dict(part, data_root='nowhere')]
    cfg.train_dataloader.dataset = dict(
        type='RepeatDataset', times=2, dataset=dict(type='ConcatDataset', datasets=parts)
    )
    (line,) = mistakes(cfg, ('train',), FileNotFoundError)
    assert line.startswith('train_dataloader.dataset.dataset.datasets.1.data_root: nowhere')


@pytest.mark.parametrize(
    'settings',
    [
        dict(backend_args=dict(_delete_=True, backend='petrel')),
        dict(data_root='s3://bucket/coco/'),
        dict(_delete_=True, type='mmpretrain.CIFAR10', data_root='nowhere', data_prefix='a'),
    ],
)
def test_what_is_elsewhere_is_not_looked_for(folders, settings):
    cfg, _ = folders
    cfg.train_dataloader.dataset.data_root = 'nowhere'
    cfg.merge_from_dict(
        {
            'train_dataloader.dataset': settings,
            'load_from': 'https://example.org/epoch_1.pth',
            'model.backbone.init_cfg': dict(type='Pretrained', checkpoint='torchvision://resnet50'),
        }
    )
    check_settings(cfg, ('train',))


@pytest.mark.parametrize(
    ('given', 'problem'),
    [
        (dict(backend='locl'), r"'locl' is unknown; did you mean 'local'\?; known: 'local'"),
        (dict(backend='local', path='a'), "'local' cannot be used: .* argument 'path'"),
    ],
)
def test_storage_that_cannot_be_used_is_named_in_one_line_with_what_there_is(given, problem):
    cfg = read('mmdet')
    check_backends(cfg)
    cfg.train_dataloader.dataset.backend_args = given
    with pytest.raises(ConfigError, match=rf'train_dataloader.dataset.backend_args.*={problem}'):
        check_backends(cfg)


def test_data_set_without_other_paths_needs_its_root(tmp_path):
    cfg = read('mmpretrain')
    cfg.train_dataloader.dataset = dict(type='ImageNet', data_root=f'{tmp_path}/imagnet')
    (tmp_path / 'imagenet').mkdir()
    (line,) = mistakes(cfg, ('train',), FileNotFoundError)
    assert line.startswith('train_dataloader.dataset.data_root')
    assert line.endswith(f"has no 'imagnet'; did you mean {tmp_path}/imagenet?")


def small_model():
    model = nn.Module()
    model.backbone = RSIRTransformer(
        dict(embed_dims=8, depths=(1,), num_heads=(1,)), out_indices=(0,)
    )
    model.head = nn.Linear(8, 2)
    return model


@pytest.fixture
def warned(caplog, request):
    """A function that returns the warnings so far."""
    # A new logger is the current one, whatever other tests have made since.
    MMLogger.get_instance(request.node.nodeid).addHandler(caplog.handler)
    return lambda: [one.getMessage() for one in caplog.records if one.levelno == logging.WARNING]


def test_pattern_that_matches_nothing_warns_with_the_nearest_name(warned):
    model = small_model()
    model.scale = nn.Parameter(torch.ones(1))
    keys = {'backbon.': {}, '.peg': {}, 'haed': {}, '.scale': {}, '.head': {}}
    cfg = Config(dict(optim_wrapper=dict(paramwise_cfg=dict(custom_keys=keys))))
    check_model(model, cfg)
    assert warned() == [
        "paramwise_cfg.custom_keys: 'backbon.' matches no parameter; did you mean 'backbone'?",
        "paramwise_cfg.custom_keys: 'haed' matches no parameter; did you mean 'head'?",
        "paramwise_cfg.custom_keys: '.head' matches no parameter; did you mean 'head'?",
    ]


@pytest.mark.parametrize('build', [RSIRTransformer, BaseModule])
def test_prefix_that_matches_nothing_is_refused_with_the_nearest(build, tmp_path):
    path = f'{tmp_path}/cls.pth'
    torch.save(dict(state_dict={'backbone.a': torch.zeros(1), 'head.a': torch.zeros(1)}), path)
    for prefix in ('backbone', 'backbone.', 'head'):
        module = build(init_cfg=dict(type='Pretrained', checkpoint=path, prefix=prefix))
        check_model(nn.Sequential(module), Config())
    module = build(init_cfg=[dict(type='Pretrained', checkpoint=path, prefix='backbon')])
    with pytest.raises(CheckpointMismatchError, match="did you mean 'backbone.'?"):
        check_model(nn.Sequential(module), Config())


def heads(**numbers):
    """A model whose heads predict so many classes."""
    model = nn.Module()
    for name, number in numbers.items():
        head = nn.Module()
        head.num_classes = number
        head.class_agnostic = name == 'agnostic_head'
        model.add_module(name, head)
    return model


def test_heads_with_other_classes_than_the_data_are_named(warned):
    numbers = dict(rpn_head=1, backbone=7, semantic_head=54, agnostic_head=80)
    model = heads(bbox_head=80, mask_head=1, **numbers)
    check_classes(model, 'train_dataloader', ('screw',))
    check_classes(model, 'train_dataloader', None)
    assert warned() == [
        'model.bbox_head.num_classes=80, but the data set of train_dataloader has 1 classes: '
        'screw. If this head predicts them, set num_classes=1'
    ]


def test_validation_that_lacks_classes_gives_no_reason_to_change_the_head(warned):
    check_classes(heads(head=2), 'val_dataloader', ('screw',))
    (warning,) = warned()
    assert warning.endswith('Make sure that its labels stand for the same classes as in training')


def test_one_name_is_no_list_of_classes():
    message = r"classes='screw' of the data set must be a list of names; write .*\('screw',\)"
    with pytest.raises(ConfigError, match=message):
        check_classes(heads(bbox_head=1), 'train_dataloader', 'screw')


def test_classes_of_joined_data_sets_are_those_of_the_first():
    parts = [dict(classes=('a', 'b'), dataset_type='one'), dict(classes=('a', 'b'))]
    assert scopes.class_names(SimpleNamespace(metainfo=parts)) == ('a', 'b')
    assert scopes.class_names(SimpleNamespace()) is None


@pytest.mark.parametrize(
    ('parts', 'needed'),
    [
        (dict(fc_cls=nn.Linear(2, 4)), '4'),  # with the background, as regions have it
        (dict(cls_embed=nn.Linear(2, 4), out_channels=3), '4'),  # Mask2Former's
        (dict(fc=nn.Linear(2, 3)), '3'),
        (dict(cls_out_channels=3), '3'),
        (dict(out_channels=1), '1 or 3'),
        ({}, '3 or 4'),
    ],
)
def test_weights_of_classes_must_be_as_many_as_the_head_predicts(parts, needed):
    model = heads(head=3)
    for name, part in parts.items():
        setattr(model.head, name, part)
    model.head.losses = nn.ModuleList([nn.Module()])
    loss = model.head.losses[0]
    for number in map(int, needed.split(' or ')):
        loss.class_weight = [1.0] * number
        check_model(model, Config())
    loss.class_weight = [1.0, 2.0]
    message = rf'model.head.losses.0.class_weight has 2 weights, but its head needs {needed}:'
    with pytest.raises(ConfigError, match=message):
        check_model(model, Config())
    loss.class_weight = torch.tensor(2.0)
    loss.pos_weight = [2.0]
    check_model(model, Config())  # one weight of all classes


@pytest.mark.parametrize(
    ('num_classes', 'name', 'of_loss'),
    [(None, 'loss_cls', 5), (0, 'loss_cls', 5), (3, 'loss_cls', -1), (3, 'loss_border', 2)],
)
def test_losses_of_what_is_not_known_are_left_alone(num_classes, name, of_loss):
    model = heads(head=num_classes)
    loss = nn.Module()
    loss.num_classes = of_loss
    if of_loss > 0:
        loss.class_weight = [1.0] * of_loss
    setattr(model.head, name, loss)
    check_model(model, Config())


def test_boxes_and_masks_of_a_region_must_have_the_same_classes():
    model = nn.Module()
    for agnostic in ('agnostic_head', 'mask_head'):
        model.roi_head = heads(bbox_head=80, **{agnostic: 1})
        if agnostic == 'agnostic_head':
            check_model(model, Config())
    message = r'bbox_head.num_classes=80, model.roi_head.mask_head.num_classes=1: the heads of'
    with pytest.raises(ConfigError, match=message):
        check_model(model, Config())


def test_a_loss_and_what_mixes_images_must_have_the_classes_of_the_head():
    model = heads(head=3)
    model.head.loss_module = heads()
    model.head.loss_module.num_classes = 5
    with pytest.raises(ConfigError, match=r'loss_module.num_classes=5, but its head has .*=3'):
        check_model(model, Config())
    model = heads(head=3, data_preprocessor=4)
    check_model(model, Config())
    model.data_preprocessor.batch_augments = object()
    with pytest.raises(ConfigError, match=r'data_preprocessor.num_classes=4, but model.head.*=3'):
        check_model(model, Config())
