"""Pictures of what a training sees show its images and annotations, in their colours."""

import json

import mmcv
import numpy as np
import pytest
from matplotlib.image import imread

from mmrsir.engine import launch
from mmrsir.utils.errors import UserError
from mmrsir.visualization.dataset import draw_training_images

from .helpers.commands import ROOT, on_data, run_here
from .helpers.configs import SHAPES as CONFIGS

FOLDERS = {'mmdet': 'coco/train', 'mmseg': 'ade/images/training', 'mmpretrain': 'imagenet/train'}


def load(scope, shapes):
    cfg = launch.read_config(str(ROOT / CONFIGS[scope]), None)
    folder = {'mmdet': 'coco', 'mmseg': 'ade', 'mmpretrain': 'imagenet'}[scope]
    cfg.train_dataloader.dataset.data_root = f'{shapes / folder}/'
    return cfg


@pytest.mark.parametrize('scope', CONFIGS)
def test_images_have_their_colours_and_annotations(scope, shapes, tmp_path):
    cfg = load(scope, shapes)
    dataset = cfg.train_dataloader.dataset
    # Without what changes images at random.
    dataset.pipeline = [one for one in dataset.pipeline if one.type.startswith(('Load', 'Pack'))]
    (drawn,) = draw_training_images(cfg, 1, tmp_path)
    picture = mmcv.imread(drawn, channel_order='rgb').astype(int)
    first = min(path for path in (shapes / FOLDERS[scope]).rglob('*.*') if path.is_file())
    image = mmcv.imresize(mmcv.imread(first, channel_order='rgb'), picture.shape[1::-1])
    right, swapped = (np.abs(picture - one) for one in (image, image[..., ::-1]))
    assert right.mean() < swapped.mean()
    assert right.max() > 100


def test_images_are_spread_over_the_data_set(shapes, tmp_path):
    cfg = load('mmdet', shapes)
    cfg.train_dataloader.dataset.indices = 4
    drawn = draw_training_images(cfg, 2, tmp_path)
    files = sorted((shapes / 'coco/train').iterdir())
    assert [path.stem for path in drawn] == [f'00000{one}_{files[one].stem}' for one in (0, 2)]


def test_what_is_random_comes_from_the_seed(shapes, tmp_path):
    cfg = load('mmpretrain', shapes)
    first, again, other = (
        next(draw_training_images(cfg, 1, tmp_path / name, seed)).read_bytes()
        for name, seed in (('first', 0), ('again', 0), ('other', 1))
    )
    assert first == again != other


def test_objects_without_masks_are_one_clear_error(shapes, tmp_path):
    cfg = load('mmdet', shapes)
    content = json.loads((shapes / 'coco/annotations/instances_train.json').read_text())
    for one in content['annotations']:
        one['segmentation'] = []
    (tmp_path / 'boxes.json').write_text(json.dumps(content))
    cfg.train_dataloader.dataset.ann_file = f'{tmp_path}/boxes.json'
    with pytest.raises(UserError, match='have no mask.* train Faster R-CNN'):
        next(draw_training_images(cfg, 1, tmp_path / 'pictures'))


def test_number_is_checked(tmp_path):
    cfg = launch.read_config(str(ROOT / CONFIGS['mmdet']), None)
    with pytest.raises(ValueError, match='number=0 must be at least 1'):
        next(draw_training_images(cfg, 0, tmp_path))


def test_tool_lays_all_on_one_sheet(shapes, tmp_path, monkeypatch):
    arguments = [ROOT / CONFIGS['mmdet'], '--number', '100', '--out-dir', tmp_path]
    options = ['--cfg-options', *on_data('mmdet', shapes)]
    run_here(monkeypatch, 'tools/visualization/browse_dataset.py', *arguments, *options)
    pictures = list(tmp_path.glob('*.jpg'))
    assert 1 < len(pictures) <= 8
    assert imread(tmp_path / 'sheet.png')[..., :3].std() > 0.05
