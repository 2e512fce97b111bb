"""Walks through the settings of a config."""

import pytest

from mmrsir.utils.settings import below_wrappers


class Built:
    """A data set whose images must not be looked at."""

    def __getitem__(self, index):
        pytest.fail(f'took image {index}')


def test_a_data_set_that_is_built_already_is_not_walked_through():
    built = Built()
    assert list(below_wrappers(built)) == [built]
    assert list(below_wrappers(dict(times=2, dataset=built))) == [built]


def test_what_wrappers_hold_is_found_in_its_order():
    parts = [dict(type='A'), dict(type='B')]
    assert list(below_wrappers(dict(dataset=dict(datasets=parts)))) == parts
