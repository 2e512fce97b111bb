"""Memory of a training process over many iterations."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

SCRIPT = Path(__file__).parents[1] / 'helpers/long_training.py'
# oneDNN would keep what it made for up to 1024 shapes, and malloc the gaps between tensors.
SETTINGS = {
    'OMP_NUM_THREADS': '1',
    'ONEDNN_PRIMITIVE_CACHE_CAPACITY': '0',
    'MALLOC_MMAP_THRESHOLD_': '65536',
    'MALLOC_TRIM_THRESHOLD_': '65536',
}


@pytest.mark.slow
def test_memory_does_not_grow_over_2000_iterations_at_varying_image_sizes():
    done = subprocess.run(
        [sys.executable, SCRIPT],
        env={**os.environ, **SETTINGS},
        stdout=subprocess.PIPE,
        text=True,
        check=True,
    )
    lines = (line.split() for line in done.stdout.splitlines())
    resident = {int(iteration): float(megabytes) for iteration, megabytes in lines}
    # All caches are full by then.
    assert resident[2000] - resident[1000] < 6, resident
