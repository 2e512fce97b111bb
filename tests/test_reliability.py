"""The list of docs/reliability.md names tests that exist."""

import re

from .helpers.commands import ROOT


def named_tests():
    """Return what each fault of the list names: (file, test), of which the file may stand once."""
    text = (ROOT / 'docs/reliability.md').read_text()
    faults = re.findall(r'^- \*\*(.*?)\*\*(.*?)(?=\n- |\n\n)', text, re.MULTILINE | re.DOTALL)
    return {fault: re.findall(r'`([\w/.]*)::(\w+)`', rest) for fault, rest in faults}


def test_every_fault_has_tests_that_exist():
    found = named_tests()
    assert len(found) >= 20
    for row, tests in found.items():
        assert tests, row
        file = None
        for path, name in tests:
            file = path or file
            assert f'def {name}(' in (ROOT / file).read_text(), (row, name)
