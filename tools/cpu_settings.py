"""Chooses how a process uses the CPU and its memory. Import it before torch, which starts threads.

- Threads of OpenMP that spin while they wait are faster where nothing else runs. Where other
  processes want the cores, spinning threads take them away from each other and from the rest.
- The C library gives freed memory back to the system, which must clear each page of it anew for
  the next step. A process that keeps it trains faster on the CPU (docs/performance.md).
"""

import ctypes
import os
from collections.abc import Mapping, MutableMapping

_WAIT_SETTINGS = ('OMP_WAIT_POLICY', 'GOMP_SPINCOUNT')
_MEMORY_SETTINGS = ('MALLOC_TRIM_THRESHOLD_', 'MALLOC_MMAP_THRESHOLD_', 'GLIBC_TUNABLES')
# The numbers of glibc's malloc.h.
_M_TRIM_THRESHOLD, _M_MMAP_THRESHOLD = -1, -3
_LARGEST_MMAP_THRESHOLD = 32 * 2**20  # that glibc takes; larger tensors go back to the system
_NEVER = 2**31 - 1


def choose_wait_policy(environment: MutableMapping[str, str], load: float, cores: int) -> None:
    """Let threads sleep while they wait if there are fewer free cores than threads.

    Args:
        environment: Of the process. What it says already stays.
        load: How many processes and threads want to run, without this process.
        cores: Cores of the machine.
    """
    if any(name in environment for name in _WAIT_SETTINGS):
        return
    given = environment.get('OMP_NUM_THREADS', '').partition(',')[0]
    threads = int(given) if given.isdecimal() else cores
    threads *= int(environment.get('LOCAL_WORLD_SIZE', '1'))
    if load + threads > cores + 0.5:
        environment['OMP_WAIT_POLICY'] = 'passive'


def keep_freed_memory(environment: Mapping[str, str]) -> None:
    """Keep freed memory for the next step, unless the environment says what to do with it."""
    mallopt = getattr(ctypes.CDLL(None), 'mallopt', None)  # glibc alone has it
    if mallopt is None or any(name in environment for name in _MEMORY_SETTINGS):
        return
    mallopt(_M_MMAP_THRESHOLD, _LARGEST_MMAP_THRESHOLD)
    mallopt(_M_TRIM_THRESHOLD, _NEVER)


choose_wait_policy(os.environ, os.getloadavg()[0], os.cpu_count() or 1)
keep_freed_memory(os.environ)
