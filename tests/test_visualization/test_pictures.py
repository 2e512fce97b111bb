"""Curves and contact sheets."""

import json

import numpy as np
import pytest
from matplotlib.image import imread, imsave

from mmrsir.visualization.contact_sheet import contact_sheet
from mmrsir.visualization.curves import plot_run, read_scalars


@pytest.fixture
def scalars(tmp_path):
    lines = [
        {'loss': 3.0, 'iter': 10, 'step': 10},
        {'loss': 2.0, 'iter': 20, 'step': 20},
        {'coco/bbox_mAP': 0.5, 'step': 1},
        {'loss': 1.0, 'iter': 30, 'step': 30},
        {'coco/bbox_mAP': 0.6, 'step': 2},
    ]
    path = tmp_path / 'scalars.json'
    path.write_text('\n'.join(json.dumps(line) for line in lines))
    return path


def test_validation_points_stand_at_their_training_iteration(scalars):
    curves = read_scalars(scalars, ['loss', 'coco/bbox_mAP'])
    assert curves['loss'] == ([10, 20, 30], [3.0, 2.0, 1.0])
    assert curves['coco/bbox_mAP'] == ([20, 30], [0.5, 0.6])


def test_missing_values_are_named(scalars):
    with pytest.raises(ValueError, match='has no values of mIoU'):
        read_scalars(scalars, ['loss', 'mIoU'])


def test_curves_are_drawn(scalars, tmp_path):
    plot_run(scalars, {'coco/bbox_mAP': 'box AP'}, tmp_path / 'curves.png', 'a run')
    picture = imread(tmp_path / 'curves.png')[..., :3]
    assert picture.shape[1] > picture.shape[0]
    assert picture.std() > 0.05


def test_contact_sheet_shows_every_picture(tmp_path):
    colors = [(255, 0, 0), (0, 255, 0), (0, 0, 255)]
    for index, color in enumerate(colors):
        imsave(tmp_path / f'{index}.png', np.full((20, 40, 3), color, dtype=np.uint8))
    pictures = sorted(tmp_path.glob('?.png'))
    contact_sheet(pictures, tmp_path / 'sheet.png', columns=2, title='three')
    pixels = imread(tmp_path / 'sheet.png')[..., :3].reshape(-1, 3)
    for color in colors:
        assert (np.abs(pixels - np.array(color) / 255) < 0.01).all(axis=1).mean() > 0.1


def test_contact_sheet_needs_a_picture(tmp_path):
    with pytest.raises(ValueError, match='no pictures'):
        contact_sheet([], tmp_path / 'sheet.png', columns=2, title='')
