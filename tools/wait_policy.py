"""Chooses how threads of OpenMP wait for one another. Import it before torch, which starts them.

Threads that spin are faster where nothing else runs. Where other processes want the cores, spinning
threads take them away from each other and from the rest.
"""

import os
from collections.abc import MutableMapping

_SETTINGS = ('OMP_WAIT_POLICY', 'GOMP_SPINCOUNT')


def choose(environment: MutableMapping[str, str], load: float, cores: int) -> None:
    """Let threads sleep while they wait if there are fewer free cores than threads.

    Args:
        environment: Of the process. What it says already stays.
        load: How many processes and threads want to run, without this process.
        cores: Cores of the machine.
    """
    if any(name in environment for name in _SETTINGS):
        return
    given = environment.get('OMP_NUM_THREADS', '').partition(',')[0]
    threads = int(given) if given.isdecimal() else cores
    threads *= int(environment.get('LOCAL_WORLD_SIZE', '1'))
    if load + threads > cores + 0.5:
        environment['OMP_WAIT_POLICY'] = 'passive'


choose(os.environ, os.getloadavg()[0], os.cpu_count() or 1)
