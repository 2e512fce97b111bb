"""Tools leave out what libraries say at each start, and nothing else."""

import logging
import warnings

from mmrsir.engine import noise


def test_only_what_libraries_print_on_import_is_left_out(capsys):
    with noise.imports_unsaid():
        print('Could not import OneDL. Skipping OneDL datasets.')
        print('a line of the config')
    assert capsys.readouterr().out == 'a line of the config\n'


def test_warnings_about_defaults_of_libraries_are_left_out(recwarn):
    with warnings.catch_warnings():
        noise.leave_out_warnings()
        for message in (*noise.WARNED, 'the learning rate is negative'):
            warnings.warn(message, UserWarning, stacklevel=1)
    assert [str(one.message) for one in recwarn] == ['the learning rate is negative']


def test_a_log_has_what_is_news():
    said = ['"FileClient" will be deprecated in future.', 'a class has no ground truth']
    records = [logging.LogRecord('', logging.WARNING, '', 0, one, None, None) for one in said]
    assert [noise.is_news(one) for one in records] == [False, True]
