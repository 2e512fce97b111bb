"""Results of different runs go to different folders."""

import pytest

from mmrsir.utils.run_names import run_name


@pytest.mark.parametrize(
    ('checkpoint', 'name'),
    [
        (None, 'rsir_n'),
        ('work_dirs/first/epoch_8.pth', 'first_epoch_8'),
        ('work_dirs/second/epoch_8.pth', 'second_epoch_8'),
        ('mmrsir://rsir_n_tinyimagenet', 'rsir_n_tinyimagenet'),
    ],
)
def test_the_name_of_a_run_tells_config_or_checkpoint(checkpoint, name):
    assert run_name('configs/cls/rsir_n.py', checkpoint) == name
