"""Tools let threads sleep where others want the cores, and keep memory that they freed."""

import os
import subprocess
import sys

import pytest

from ..helpers.commands import ROOT

SCRIPT = """
import os, sys
sys.path.insert(0, 'tools')
os.getloadavg = lambda: (float(sys.argv[1]), 0, 0)
os.cpu_count = lambda: 4
import cpu_settings
print(os.environ.get('OMP_WAIT_POLICY'))
assert 'torch' not in sys.modules
"""


@pytest.mark.parametrize(
    ('load', 'given', 'policy'),
    [
        (0.2, {}, 'None'),
        (1.0, {}, 'passive'),
        (1.0, dict(OMP_NUM_THREADS='2'), 'None'),
        (1.0, dict(OMP_NUM_THREADS='1', LOCAL_WORLD_SIZE='4'), 'passive'),
        (9.0, dict(OMP_WAIT_POLICY='active'), 'active'),
        (9.0, dict(GOMP_SPINCOUNT='1000'), 'None'),
    ],
)
def test_threads_sleep_where_others_want_the_cores(load, given, policy):
    others = {
        name: value
        for name, value in os.environ.items()
        if name not in ('OMP_NUM_THREADS', 'OMP_WAIT_POLICY', 'GOMP_SPINCOUNT', 'LOCAL_WORLD_SIZE')
    }
    command = [sys.executable, '-c', SCRIPT, str(load)]
    done = subprocess.run(
        command, cwd=ROOT, env={**others, **given}, capture_output=True, text=True, check=True
    )
    assert done.stdout.strip() == policy


@pytest.mark.parametrize('tool', ['train', 'test'])
def test_tools_choose_before_torch_is_imported(tool):
    lines = (ROOT / 'tools' / f'{tool}.py').read_text().splitlines()
    imports = [line for line in lines if line.startswith(('import ', 'from '))]
    assert imports[0].startswith('import cpu_settings')


# As after a step: one half of the memory is freed, and wanted again.
STEPS = """
import resource, sys
sys.path.insert(0, 'tools')
import cpu_settings

def step():
    for megabytes in (4, 8, 16, 24):
        bytes(megabytes * 2**20).count(1)
    return [bytearray(20 * 2**20) for _ in range(8)]

step()
before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
step()
print(resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before)
"""


@pytest.mark.skipif(not sys.platform.startswith('linux'), reason='the allocator is that of glibc')
@pytest.mark.parametrize(
    ('given', 'keeps'), [({}, True), (dict(MALLOC_TRIM_THRESHOLD_='0'), False)]
)
def test_tools_keep_freed_memory_unless_the_environment_says_otherwise(given, keeps):
    command = [sys.executable, '-c', STEPS]
    done = subprocess.run(
        command, cwd=ROOT, env={**os.environ, **given}, capture_output=True, text=True, check=True
    )
    pages = 8 * 20 * 2**20 // os.sysconf('SC_PAGE_SIZE')
    assert (int(done.stdout) < pages / 10) is keeps
