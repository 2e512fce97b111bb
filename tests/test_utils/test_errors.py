"""The one way in which commands print errors that a user can mend."""

import ast
import re

import numpy as np
import pytest
import torch

from mmrsir.datasets import LoadImageFromFile
from mmrsir.engine.loops.batches import PlacedIndex, UnusableSampleError, load_samples
from mmrsir.utils.arguments import check_choice
from mmrsir.utils.errors import InvalidTypeError, UserError, plain_errors

from ..helpers.commands import ROOT

COMMANDS = [
    path
    for folder in ('tools', 'demo', 'benchmarks')
    for path in sorted((ROOT / folder).rglob('*.py'))
    if "if __name__ == '__main__':" in path.read_text()
    and path.name != 'onnx_demo.py'  # it runs without mmrsir
]


class OneMissing:
    def __getitem__(self, index):
        return LoadImageFromFile()(dict(img_path=f'/nowhere/{index}.jpg'))


@pytest.mark.parametrize('path', COMMANDS, ids=lambda path: path.name)
def test_each_command_uses_it(path):
    text = path.read_text()
    assert 'with plain_errors(' in text.partition("if __name__ == '__main__':")[2]
    assert not re.search(r'parser\.error|sys\.exit\((?!0\))', text)


@pytest.mark.parametrize(
    'error',
    [
        UserError('what to do'),
        InvalidTypeError('what to do'),
        PermissionError(13, 'what to do', 'a file'),
    ],
)
def test_what_a_user_can_mend_is_told_in_one_line(error, capsys):
    with pytest.raises(SystemExit) as stopped, plain_errors(3):
        raise error
    assert stopped.value.code == 3
    said = capsys.readouterr().err
    assert said.startswith('error: ') and 'what to do' in said and said.count('\n') == 1


def test_a_wrong_argument_comes_with_the_nearest_one(capsys):
    with pytest.raises(SystemExit), plain_errors():
        check_choice('arch', 'tinny', ('nano', 'tiny'))
    said = capsys.readouterr().err
    assert said.startswith("error: arch='tinny' is unknown") and "did you mean 'tiny'?" in said


@pytest.mark.parametrize('allocate', [torch.empty, np.empty], ids=['torch', 'NumPy'])
def test_too_little_memory_is_told_in_one_line(allocate, capsys):
    with pytest.raises(SystemExit), plain_errors():
        allocate(10**16)
    said = capsys.readouterr().err
    assert said.startswith('error: there is not enough memory: use smaller')
    assert said.count('\n') == 1 and 'Traceback' not in said


def test_other_errors_of_torch_keep_their_traceback():
    with pytest.raises(RuntimeError, match='must match'), plain_errors():
        torch.zeros(2) + torch.zeros(3)


def test_label_of_no_class_in_a_loss_is_told_in_one_line(capsys):
    with pytest.raises(SystemExit), plain_errors():
        torch.nn.functional.cross_entropy(torch.zeros(1, 4), torch.tensor([199]))
    said = capsys.readouterr().err
    assert 'stands for no class' in said and 'Target 199' in said and said.count('\n') == 1
    with pytest.raises(SystemExit), plain_errors():  # of mmpretrain
        raise AssertionError('Class Index must be less than number of classes')
    with pytest.raises(AssertionError), plain_errors():
        raise AssertionError('other')


def test_errors_of_programs_keep_their_traceback():
    with pytest.raises(ValueError, match='other'), plain_errors():
        raise ValueError('other')


def test_the_traceback_of_a_loading_worker_is_left_out(capsys):
    with pytest.raises(SystemExit), plain_errors():
        try:
            load_samples(OneMissing(), [PlacedIndex(3, (0,))])
        except UnusableSampleError as error:  # as torch raises it again
            raise UnusableSampleError(
                f'Caught UnusableSampleError in worker\nOriginal Traceback:\n'
                f'mmrsir.engine.loops.batches.UnusableSampleError: {error}\n'
            ) from error
    said = capsys.readouterr().err
    assert said.startswith('error: sample 3: MissingImageError: /nowhere/3.jpg does not exist')
    assert said.count('\n') == 1


def test_batch_norm_on_a_single_value_says_what_to_do(capsys):
    with pytest.raises(SystemExit), plain_errors():
        torch.nn.BatchNorm2d(3)(torch.zeros(1, 3, 1, 1))
    assert 'batch_size to 2 or more' in capsys.readouterr().err


@pytest.mark.parametrize('folder', ['tools', 'demo', 'mmrsir'])
def test_nothing_that_is_installed_or_run_needs_what_is_not_on_the_path(folder):
    absent = {path.stem for part in ('benchmarks', 'dev') for path in (ROOT / part).iterdir()}
    for path in (ROOT / folder).rglob('*.py'):
        for node in ast.walk(ast.parse(path.read_text())):
            names = [alias.name for alias in node.names] if isinstance(node, ast.Import) else []
            if isinstance(node, ast.ImportFrom) and node.level == 0:
                names = [node.module]
            assert absent.isdisjoint(name.partition('.')[0] for name in names), path
