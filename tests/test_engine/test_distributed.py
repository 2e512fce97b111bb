"""Two processes on the CPU."""

from .commands import on_data, read_metrics, run, tool

CONFIG = 'configs/mask_rcnn/rsir_n_shapes.py'


def test_two_processes_train_and_evaluate_like_one(shapes, tmp_path):
    options = ['--cfg-options', *on_data('mmdet', shapes)]
    short = ['train_cfg.max_epochs=1', 'train_cfg.val_interval=2', 'train_dataloader.batch_size=2']
    output = run('tools/dist_train.sh', CONFIG, 2, '--work-dir', tmp_path, *options, *short)
    assert 'Distributed training: True' in output
    checkpoint = tmp_path / 'epoch_1.pth'
    alone, together = tmp_path / 'alone', tmp_path / 'together'
    tool('test.py', CONFIG, checkpoint, '--work-dir', alone, *options)
    run('tools/dist_test.sh', CONFIG, checkpoint, 2, '--work-dir', together, *options)
    expected, actual = read_metrics(alone), read_metrics(together)
    for timing in ('time', 'data_time'):
        del expected[timing], actual[timing]
    assert actual == expected
