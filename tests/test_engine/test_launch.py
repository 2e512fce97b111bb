"""Configs and flags of the tools."""

import argparse
import re

import pytest
import torch
from mmengine.config import Config
from mmengine.config import utils as config_utils

from mmrsir.engine import launch, scopes
from mmrsir.engine.config_check import ConfigError
from mmrsir.engine.config_files import find_config, read_file
from mmrsir.utils.errors import UserError
from mmrsir.utils.missing import check_file

from ..helpers.commands import ROOT, tool


def load(config, *flags):
    args = launch.argument_parser('').parse_args([str(ROOT / config), *flags])
    return launch.load_config(args)


def test_bases_of_libraries_are_those_of_mmengine_and_read_no_metafiles(monkeypatch):
    path = ROOT / 'configs/mask_rcnn/rsir_t_1x_coco.py'
    expected = Config.fromfile(path)
    monkeypatch.setattr(config_utils, 'load', lambda path: pytest.fail(f'{path} was read'))
    assert read_file(path).to_dict() == expected.to_dict()


def test_missing_config_names_the_nearest():
    output = tool('train.py', 'configs/mask_rcnn/rsir_t_1x_cocoo.py', expect=1)
    assert 'config configs/mask_rcnn/rsir_t_1x_cocoo.py does not exist' in output
    assert 'did you mean configs/mask_rcnn/rsir_t_1x_coco.py?' in output


def test_configs_are_found_by_path_and_by_name():
    path = ROOT / 'configs/mask_rcnn/rsir_t_1x_coco.py'
    for name in (str(path), 'mask_rcnn/rsir_t_1x_coco', 'rsir_t_1x_coco', 'rsir_t_1x_coco.py'):
        assert find_config(name) == path
    assert find_config('upernet_rsir_n_shapes') == ROOT / 'configs/upernet/rsir_n_shapes.py'
    with pytest.raises(FileNotFoundError, match='several .*: mask_rcnn/rsir_n_shapes, '):
        find_config('rsir_n_shapes')
    with pytest.raises(FileNotFoundError, match=r'did you mean mask_rcnn/rsir_t_1x_coco\?'):
        find_config('mask_rcnn/rsir_t_1x_cocoo')


@pytest.mark.parametrize(
    ('text', 'message'),
    [
        ("_base_ = 'base.py'\nrate = 2 * base_rate", "line 2 of it, .*: name 'base_rate' is not"),
        ("_base_ = 'base.py'\nrate = _base_.no_model", "line 2 of it, .* no attribute 'no_model'"),
        ("_base_ = 'base.py'\nsteps = dict(end=9)", 'steps={.*} in child config cannot inherit'),
        ("_base_ = ['base.py', 'config.py']\n", 'Duplicate key is not allowed among bases'),
        (
            "_base_ = 'base.py'\nx = {{_base_.none}}",
            "'none' is used, but not set",
        ),
        ("custom_imports = dict(imports=['no_such_module'])", "No module named 'no_such_module'"),
    ],
)
def test_a_config_with_a_mistake_is_named_in_one_line(text, message, tmp_path):
    (tmp_path / 'base.py').write_text('steps = [1, 2]')
    (tmp_path / 'config.py').write_text('steps = [3]')
    path = tmp_path / 'mine.py'
    path.write_text(text)
    with pytest.raises(ConfigError, match=f'mine.py .*{message}') as raised:
        read_file(path)
    assert str(raised.value).count('\n') == 0


@pytest.mark.parametrize(
    ('base', 'said'),
    [
        ('./bsae.py', r'bsae.py does not exist; did you mean .*/base.py\?'),
        ('mmdet::_base_/default_runtimee', r'does not exist; did you mean .*default_runtime.py\?'),
        ('./', 'is a folder'),
        ('mmdett::_base_/default_runtime', "no configs come with 'mmdett'; did you mean 'mmdet'"),
    ],
)
def test_a_missing_base_is_named_with_who_asks_for_it_and_what_is_near(base, said, tmp_path):
    (tmp_path / 'base.py').write_text('')
    (tmp_path / 'child.py').write_text(f'_base_ = {base!r}')
    (tmp_path / 'mine.py').write_text("_base_ = ['./base.py', './child.py']")
    with pytest.raises(UserError, match=rf'config \S*child.py has _base_ = {base!r}, but .*{said}'):
        read_file(tmp_path / 'mine.py')


def test_bases_that_are_there_are_not_blamed_for_another_missing_file(tmp_path):
    (tmp_path / 'base.py').write_text('')
    bases = "_base_ = ['./base.py', '{{ fileDirname }}/base.py']"
    (tmp_path / 'mine.py').write_text(f"{bases}\nnames = open('gone.txt').read()")
    with pytest.raises(FileNotFoundError, match='gone.txt') as raised:
        read_file(tmp_path / 'mine.py')
    assert '_base_' not in str(raised.value)


def test_missing_checkpoint_is_named_before_anything_is_built(tmp_path):
    (tmp_path / 'epoch_1.pth').touch()
    with pytest.raises(FileNotFoundError, match='did you mean .*epoch_1.pth'):
        check_file('checkpoint', str(tmp_path / 'epoch_11.pth'))
    check_file('checkpoint', 'https://example.org/epoch_11.pth')
    (tmp_path / 'last.pth').symlink_to('gone.pth')
    with pytest.raises(FileNotFoundError, match='it links to gone.pth, which is not there'):
        check_file('checkpoint', str(tmp_path / 'last.pth'))
    with pytest.raises(FileNotFoundError, match='is a folder: name a file in it'):
        check_file('checkpoint', str(tmp_path))


@pytest.mark.parametrize(
    ('option', 'said'),
    [
        ('max_epochs', 'write key=value'),
        ('crop=[(1,2]', 'close each bracket'),
        ('cls/rsir_n_shapes', 'write what belongs to no flag before it'),
        ('param_scheduler.end=9', 'Name an item of a list by its number'),
        ('param_scheduler.7.end=9', 'Index 7 exceeds'),
        ('max_epochs.a=9', 'max_epochs'),
    ],
)
def test_settings_of_the_command_line_that_cannot_be_meant_are_refused(option, said):
    with pytest.raises(UserError, match=f'--cfg-options.*{said}'):
        load('configs/cls/rsir_n_shapes.py', '--cfg-options', option)


def test_unknown_scope_is_named():
    with pytest.raises(ValueError, match="default_scope='mmdett' is unknown.*mean 'mmdet'"):
        scopes.check_scope(Config(dict(default_scope='mmdett')))


def test_work_dir_is_named_after_the_config_unless_given():
    config = 'configs/mask_rcnn/rsir_t_1x_coco.py'
    assert load(config).work_dir == 'work_dirs/rsir_t_1x_coco'
    by_name = launch.argument_parser('').parse_args(['rsir_t_1x_coco'])
    assert launch.load_config(by_name).work_dir == 'work_dirs/rsir_t_1x_coco'
    assert load(config, '--work-dir', 'elsewhere').work_dir == 'elsewhere'
    assert load(config, '--cfg-options', 'work_dir=here').work_dir == 'here'


def test_slurm_without_a_gpu_is_refused(monkeypatch):
    monkeypatch.setattr(torch.cuda, 'is_available', lambda: False)
    cfg = load('configs/mask_rcnn/rsir_n_shapes.py', '--launcher', 'slurm')
    with pytest.raises(UserError, match='--launcher slurm needs CUDA devices'):
        launch.build_runner(cfg, splits=())


@pytest.mark.parametrize(
    ('cuda', 'dtype', 'expected'),
    [
        (True, 'auto', dict(type='AmpOptimWrapper', dtype='float16', loss_scale='dynamic')),
        (True, 'bfloat16', dict(type='AmpOptimWrapper', dtype='bfloat16', loss_scale='dynamic')),
        (False, 'auto', dict(type='CPUAmpOptimWrapper')),
        (False, 'bfloat16', dict(type='CPUAmpOptimWrapper')),
    ],
)
def test_amp(monkeypatch, cuda, dtype, expected):
    monkeypatch.setattr(torch.cuda, 'is_available', lambda: cuda)
    cfg = load('configs/mask_rcnn/rsir_t_1x_coco.py')
    launch.enable_amp(cfg, dtype)
    chosen = {key: cfg.optim_wrapper.get(key) for key in ('type', 'dtype', 'loss_scale')}
    assert {key: value for key, value in chosen.items() if value is not None} == expected


def test_amp_refuses_what_it_cannot_do(monkeypatch):
    monkeypatch.setattr(torch.cuda, 'is_available', lambda: False)
    cfg = load('configs/mask_rcnn/rsir_t_1x_coco.py')
    with pytest.raises(UserError, match='--amp-dtype float16 needs a CUDA device'):
        launch.enable_amp(cfg, 'float16')
    cfg.optim_wrapper.type = 'Other'
    with pytest.raises(ValueError, match='the config has Other'):
        launch.enable_amp(cfg)


def test_auto_scale_lr_needs_a_base_batch_size():
    cfg = load('configs/mask_rcnn/rsir_t_1x_coco.py')
    launch.enable_auto_scale_lr(cfg)
    assert cfg.auto_scale_lr.enable
    cfg.pop('auto_scale_lr')
    with pytest.raises(UserError, match='auto_scale_lr.base_batch_size'):
        launch.enable_auto_scale_lr(cfg)


def test_resume(tmp_path):
    cfg = load('configs/mask_rcnn/rsir_t_1x_coco.py', '--work-dir', str(tmp_path))
    launch.enable_resume(cfg, 'auto')
    assert (cfg.resume, cfg.load_from) == (False, None)
    (tmp_path / 'a.pth').touch()
    launch.enable_resume(cfg, str(tmp_path / 'a.pth'))
    assert (cfg.resume, cfg.load_from) == (True, str(tmp_path / 'a.pth'))
    with pytest.raises(FileNotFoundError):
        launch.enable_resume(cfg, str(tmp_path / 'b.pth'))


@pytest.mark.parametrize(
    ('config', 'model', 'views'),
    [
        ('configs/mask_rcnn/rsir_n_shapes.py', 'MaskTTAModel', 6),
        ('configs/upernet/rsir_n_shapes.py', 'SegTTAModel', 6),
        ('configs/cls/rsir_n_shapes.py', 'AverageClsScoreTTA', 2),
    ],
)
def test_tta_wraps_model_and_pipeline(config, model, views):
    cfg = load(config)
    detector = cfg.model
    scopes.enable_tta(cfg)
    assert cfg.model.type == model
    assert cfg.model.module == detector
    augmentation = cfg.test_dataloader.dataset.pipeline[-1]
    assert augmentation.type == 'TestTimeAug'
    number = 1
    for transforms in augmentation.transforms:
        number *= len(transforms)
    assert number == views


def test_tta_of_mmseg_needs_its_settings():
    cfg = load('configs/upernet/rsir_n_shapes.py')
    cfg.pop('tta_model')
    with pytest.raises(UserError, match='tta_model'):
        scopes.enable_tta(cfg)


def test_showing_augmented_images_is_refused_for_mmpretrain():
    cfg = load('configs/cls/rsir_n_shapes.py')
    scopes.enable_windows(cfg)
    with pytest.raises(ValueError, match='--tta and --show do not go together'):
        scopes.enable_tta(cfg)


def test_tta_does_without_a_visualization_hook():
    cfg = load('configs/cls/rsir_n_shapes.py')
    cfg.default_hooks.pop('visualization')
    scopes.enable_tta(cfg)
    assert cfg.model.type == 'AverageClsScoreTTA'


def test_flipped_views_keep_what_the_pipeline_packs():
    cfg = load('configs/mask_rcnn/rsir_n_shapes.py')
    cfg.pop('tta_pipeline')
    scopes.enable_tta(cfg)
    flips, (pack,) = cfg.test_dataloader.dataset.pipeline[-1].transforms
    assert [flip.prob for flip in flips] == [1.0, 0.0]
    assert {'img_id', 'ori_shape', 'scale_factor', 'flip', 'flip_direction'} <= set(pack.meta_keys)


def test_pretrained_weights_are_one_setting():
    """The command of docs/training.md."""
    (option,) = re.findall(
        r'(model\S+checkpoint=)\S+epoch_300', (ROOT / 'docs/training.md').read_text()
    )
    for config in ('mask_rcnn/rsir_t_1x_coco.py', 'upernet/rsir_t_160k_ade20k_512x512.py'):
        cfg = load(f'configs/{config}', '--cfg-options', f'{option}a.pth')
        assert cfg.model.backbone.init_cfg == dict(type='Pretrained', checkpoint='a.pth')


def test_out_of_a_detector_must_be_a_pickle_file():
    cfg = load('configs/mask_rcnn/rsir_n_shapes.py')
    with pytest.raises(ValueError, match='--out=here.json must end in .pkl'):
        scopes.save_predictions(cfg, argparse.Namespace(), 'here.json')


def test_drawing_needs_the_hook():
    cfg = load('configs/mask_rcnn/rsir_n_shapes.py')
    del cfg.default_hooks.visualization
    with pytest.raises(UserError, match='default_hooks.visualization'):
        scopes.enable_windows(cfg)


def test_mixed_precision_of_gpus_is_refused_without_one(monkeypatch):
    monkeypatch.setattr(launch, 'get_device', lambda: 'cpu')
    monkeypatch.setattr(launch, 'check_settings', lambda cfg, splits: None)  # there are no data
    options = ('--cfg-options', 'optim_wrapper.type=AmpOptimWrapper')
    cfg = load('configs/mask_rcnn/rsir_n_shapes.py', *options)
    with pytest.raises(UserError, match='needs a GPU.* CPUAmpOptimWrapper'):
        launch.build_runner(cfg, splits=('train',))
