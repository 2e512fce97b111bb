"""The pipeline of a training beside its model."""

import re

import cv2
import numpy as np
import pytest
import torch
from mmengine.config import Config
from speed.cases import Case
from speed.loading import Loading, measure_loading, render_loading

from mmrsir.utils.errors import InvalidValueError

from ..helpers.commands import ROOT

CPU = torch.device('cpu')


def write_config(folder, ann_file='train.txt'):
    cfg = Config.fromfile(ROOT / 'configs/cls/rsir_n_tinyimagenet.py')
    dataset = dict(data_root=str(folder), ann_file=ann_file, classes=['one'])
    cfg.merge_from_dict({'train_dataloader.dataset': dataset, 'train_dataloader.batch_size': 2})
    path = folder / 'config.py'
    cfg.dump(path)
    return str(path)


def test_pipeline_and_model_of_a_config_are_timed(tmp_path):
    cv2.imwrite(str(tmp_path / 'image.jpg'), np.zeros((64, 64, 3), np.uint8))
    (tmp_path / 'train.txt').write_text('image.jpg 0\n')
    loading = measure_loading(write_config(tmp_path), 'fp32', CPU, warmup=0, repeats=1)
    assert 0 < loading.read < loading.prepare
    assert loading.learn > 0
    assert loading.case == Case('training', 64, 64, 2)
    assert loading.workers == 2


def test_missing_images_are_told(tmp_path):
    config = write_config(tmp_path, 'missing.txt')
    with pytest.raises(InvalidValueError, match=re.escape(f'--loading={config} needs the images')):
        measure_loading(config, 'fp32', CPU, warmup=0, repeats=1)


def test_workers_follow_from_both_speeds():
    loading = Loading('a', 0.01, 0.005, 0.004, Case('training', 8, 8, 2), workers=2)
    assert loading.workers_needed == 3
    assert 'busy: 3. The config has 2' in render_loading(loading).caption
