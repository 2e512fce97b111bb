"""Two processes on the CPU."""

import pickle

import numpy as np
import torch

from mmrsir.engine.launch import _replace_sync_bn

from .commands import on_data, read_metrics, run, tool

CONFIG = 'configs/mask_rcnn/rsir_n_shapes.py'


def test_two_processes_train_and_evaluate_like_one(shapes, tmp_path):
    options = ['--cfg-options', *on_data('mmdet', shapes)]
    short = ['train_cfg.max_epochs=1', 'train_cfg.val_interval=2']
    output = run('tools/dist_train.sh', CONFIG, 2, '--work-dir', tmp_path, *options, *short)
    assert 'Distributed training: True' in output
    checkpoint = tmp_path / 'epoch_1.pth'
    state = torch.load(checkpoint, weights_only=False)
    assert state['meta']['iter'] == 2  # 8 images, 2 processes, 2 images each
    command = (CONFIG, checkpoint)
    # Five images do not divide by two.
    tool('test.py', *command, '--work-dir', tmp_path / 'a', '--out', tmp_path / 'a.pkl', *options)
    out = ('--out', tmp_path / 'b.pkl')
    run('tools/dist_test.sh', *command, 2, '--work-dir', tmp_path / 'b', *out, *options)

    expected, actual = (
        {one['img_id']: one['pred_instances'] for one in pickle.loads(path.read_bytes())}
        for path in (tmp_path / 'a.pkl', tmp_path / 'b.pkl')
    )
    assert len(expected) == 5
    assert actual.keys() == expected.keys()
    for image, instances in expected.items():
        assert len(instances['scores']) > 0
        for key in ('bboxes', 'scores', 'labels'):
            np.testing.assert_array_equal(actual[image][key], instances[key])
    metrics = [read_metrics(tmp_path / name) for name in 'ab']
    for one in metrics:
        del one['time'], one['data_time']
    assert metrics[0] == metrics[1]


def test_sync_bn_becomes_bn_wherever_it_stands():
    settings = dict(
        neck=[dict(norm_cfg=dict(type='SyncBN', requires_grad=True)), None],
        head=dict(norm_cfg=dict(type='GN'), convs=(dict(norm_cfg=dict(type='SyncBN')),)),
    )
    _replace_sync_bn(settings)
    assert settings['neck'][0]['norm_cfg'] == dict(type='BN', requires_grad=True)
    assert settings['head']['convs'][0]['norm_cfg']['type'] == 'BN'
    assert settings['head']['norm_cfg']['type'] == 'GN'
