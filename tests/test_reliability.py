"""The table of docs/reliability.md names tests that exist."""

import re

from .helpers.commands import ROOT


def named_tests():
    """Return what each row of the table names: (file, test), of which the file may stand once."""
    text = (ROOT / 'docs/reliability.md').read_text()
    table = text[text.index('| fault') :].split('\n\n')[0]
    rows = table.splitlines()[2:]
    return {row: re.findall(r'`([\w/.]*)::(\w+)`', row) for row in rows}


def test_every_fault_has_tests_that_exist():
    found = named_tests()
    assert len(found) >= 20
    for row, tests in found.items():
        assert tests, row
        file = None
        for path, name in tests:
            file = path or file
            assert f'def {name}(' in (ROOT / file).read_text(), (row, name)
