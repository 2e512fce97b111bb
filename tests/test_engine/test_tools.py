"""Training and testing from the command line, for each of the three libraries."""

import pickle

import pytest
import torch

from mmrsir.checkpoints.reading import read_checkpoint

from ..helpers.commands import METRIC, on_data, read_metrics, tool
from ..helpers.configs import SHAPES as CONFIGS

# Two training iterations.
SHORT = {
    'mmdet': [
        'train_cfg.max_epochs=1',
        'train_cfg.val_interval=1',
        'train_dataloader.batch_size=4',
    ],
    'mmseg': [
        'train_cfg.max_iters=2',
        'train_cfg.val_interval=2',
        'default_hooks.checkpoint.interval=2',
    ],
    'mmpretrain': [
        'train_cfg.max_epochs=1',
        'train_cfg.val_interval=1',
        'train_dataloader.batch_size=8',
    ],
}


@pytest.fixture(
    scope='module',
    params=[
        'mmpretrain',
        *(pytest.param(one, marks=pytest.mark.slow) for one in ('mmdet', 'mmseg')),
    ],
)
def trained(request, shapes, tmp_path_factory):
    """A short training: (scope, config, options, checkpoint)."""
    scope = request.param
    work_dir = tmp_path_factory.mktemp(scope)
    options = on_data(scope, shapes)
    tool(
        'train.py',
        CONFIGS[scope],
        '--work-dir',
        work_dir,
        '--auto-scale-lr',
        '--cfg-options',
        *options,
        *SHORT[scope],
    )
    checkpoint = (work_dir / 'last_checkpoint').read_text()
    return scope, CONFIGS[scope], options, checkpoint


def test_checkpoint_of_other_classes_is_refused(trained, tmp_path):
    _, config, options, checkpoint = trained
    content = read_checkpoint(checkpoint)
    first, second, *rest = content['meta']['dataset_meta']['classes']
    content['meta']['dataset_meta']['classes'] = [second, first, *rest]
    other = tmp_path / 'other.pth'
    torch.save(content, other)
    command = (config, other, '--work-dir', tmp_path / 'work', '--cfg-options', *options)
    output = tool('test.py', *command, expect=1)
    assert f'label 0 is {first!r} in the ' in output
    assert f' and {second!r} in the checkpoint; 2 of ' in output
    assert 'Traceback' not in output


def test_predictions_are_evaluated_kept_and_drawn(trained, tmp_path):
    scope, config, options, checkpoint = trained
    out = tmp_path / ('maps' if scope == 'mmseg' else 'predictions.pkl')
    tool(
        'test.py',
        config,
        checkpoint,
        '--work-dir',
        tmp_path / 'work',
        '--out',
        out,
        '--show-dir',
        tmp_path / 'pictures',
        '--cfg-options',
        *options,
    )
    assert METRIC[scope] in read_metrics(tmp_path / 'work')
    num_images = 8 if scope == 'mmpretrain' else 5
    if scope == 'mmseg':
        assert len(list(out.glob('*.png'))) == num_images
    else:
        assert len(pickle.loads(out.read_bytes())) == num_images
    pictures = list((tmp_path / 'pictures').iterdir())
    assert len(pictures) == num_images and {path.suffix for path in pictures} == {'.jpg'}


@pytest.mark.parametrize('views', ['--tta', pytest.param('--draws=2', marks=pytest.mark.slow)])
def test_test_time_augmentation_is_evaluated(trained, tmp_path, views):
    scope, config, options, checkpoint = trained
    tool('test.py', config, checkpoint, '--work-dir', tmp_path, views, '--cfg-options', *options)
    assert METRIC[scope] in read_metrics(tmp_path)


def test_resume_goes_on_after_the_last_checkpoint(trained, tmp_path):
    scope, config, options, checkpoint = trained
    longer = [option.replace('max_epochs=1', 'max_epochs=2') for option in SHORT[scope]]
    longer = [option.replace('max_iters=2', 'max_iters=4') for option in longer]
    output = tool(
        'train.py',
        config,
        '--work-dir',
        tmp_path,
        '--resume',
        checkpoint,
        '--cfg-options',
        *options,
        *longer,
    )
    assert 'resumed' in output.lower()
    name = 'iter_4.pth' if scope == 'mmseg' else 'epoch_2.pth'
    state = torch.load(tmp_path / name, map_location='cpu', weights_only=False)
    assert state['meta']['iter'] == 4
