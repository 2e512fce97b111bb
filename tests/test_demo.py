"""The demo as a whole."""

import re

import pytest

from .helpers.commands import tool


@pytest.mark.slow
def test_demo_finds_the_shapes(tmp_path):
    output = tool('demo.py', '--work-dir', tmp_path, timeout=1800)
    found = re.search(r'mask AP50 +(\d\.\d+)', output)
    assert found is not None, output[-2000:]
    assert float(found[1]) >= 0.45
    assert (tmp_path / 'detections.png').exists()
    assert (tmp_path / 'curves.png').exists()
    assert len(list((tmp_path / 'predictions').glob('*.jpg'))) == 64
