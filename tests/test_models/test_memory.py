"""Memory of a training process over many iterations."""

import os
import subprocess
import sys
from pathlib import Path

SCRIPT = Path(__file__).with_name('long_training.py')
MEGABYTES = 8


def test_memory_does_not_grow_over_a_long_training_at_varying_image_sizes():
    environment = {**os.environ, 'OMP_NUM_THREADS': '1'}
    done = subprocess.run(
        [sys.executable, SCRIPT], env=environment, stdout=subprocess.PIPE, text=True, check=True
    )
    resident = {}
    for line in done.stdout.splitlines():
        iteration, megabytes = line.split()
        resident[int(iteration)] = float(megabytes)
    assert resident[2000] - resident[400] < MEGABYTES, resident
