"""Results of different runs go to different folders."""

import pytest

from mmrsir.engine.config_files import run_name

from ..helpers.commands import ROOT
from ..helpers.configs import CONFIGS, read


@pytest.mark.parametrize(
    ('checkpoint', 'name'),
    [
        ('work_dirs/first/epoch_8.pth', 'first_epoch_8'),
        ('work_dirs/second/epoch_8.pth', 'second_epoch_8'),
        ('mmrsir://rsir_n_tinyimagenet', 'rsir_n_tinyimagenet'),
    ],
)
def test_the_name_of_a_checkpoint_tells_its_run(checkpoint, name):
    assert run_name('configs/cls/rsir_n.py', checkpoint) == name


def test_no_two_configs_share_a_name():
    assert run_name('cls/rsir_n_shapes') == run_name('cls_rsir_n_shapes') == 'cls_rsir_n_shapes'
    assert run_name('rsir_t_1x_coco') == 'rsir_t_1x_coco'
    names = [run_name(str(ROOT / path)) for path in CONFIGS]
    assert len(set(names)) == len(names)


def test_the_name_of_a_file_of_yours_is_its_own(tmp_path):
    mine = tmp_path / 'rsir_n_shapes.py'
    mine.touch()
    assert run_name(str(mine)) == 'rsir_n_shapes'


def test_no_config_hands_its_folder_to_those_that_inherit_from_it():
    assert not [path for path in CONFIGS if read(path).get('work_dir')]
